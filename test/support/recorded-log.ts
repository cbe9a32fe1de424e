import type { Log } from "../../src/base/log.ts";

/** A line as it was logged. */
export interface LogLine {
  readonly level: keyof Log;
  readonly message: string;
  readonly code: unknown;
}

/** A log that keeps its lines. */
export function recordedLog(): { readonly log: Log; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: keyof Log) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      lines.push({ level, message, code: fields["code"] });
    };
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}
