import type { RequestShape } from "./server/database.ts";
import type { HostRow } from "./server/server.ts";

/** One thing that happens from outside. `which` picks among those that it can happen to. */
export type Act =
  | {
      readonly kind: "insert";
      readonly rows: readonly RequestShape[];
      /** The transaction is open for so long, in milliseconds. */
      readonly openMs: number;
      readonly commits: boolean;
      /** Without waiting for the disk (`synchronous_commit = off`): it is flushed after so long; null waits. */
      readonly flushMs: number | null;
      /** The server skips over this transaction for so long, in milliseconds. */
      readonly decodeMs: number;
    }
  | { readonly kind: "elsewhere"; readonly openMs: number; readonly decodeMs: number }
  | { readonly kind: "cancel"; readonly which: number; readonly openMs: number; readonly commits: boolean }
  | { readonly kind: "truncate"; readonly restartIdentity: boolean }
  | { readonly kind: "settings"; readonly host: string; readonly row: HostRow | null; readonly openMs: number }
  | { readonly kind: "wake" }
  | { readonly kind: "restart" }
  | { readonly kind: "host"; readonly host: string; readonly answersMs: number | null; readonly refuses: boolean }
  | { readonly kind: "reset"; readonly what: "stream" | "pool" | "all"; readonly which: number }
  | { readonly kind: "stall"; readonly what: "stream" | "pool" | "all"; readonly which: number; readonly ms: number }
  | { readonly kind: "lose answers"; readonly count: number }
  | { readonly kind: "writes fail"; readonly sqlstate: string; readonly ms: number }
  | { readonly kind: "reads fail"; readonly ms: number }
  | { readonly kind: "lose slot"; readonly how: "dropped" | "invalidated" }
  | { readonly kind: "publication" }
  | { readonly kind: "stop server"; readonly ms: number }
  | { readonly kind: "failover"; readonly lost: number; readonly ms: number }
  | { readonly kind: "kill"; readonly which: number; readonly restartMs: number }
  | { readonly kind: "stop"; readonly which: number; readonly restartMs: number }
  | { readonly kind: "pause"; readonly which: number; readonly ms: number }
  | { readonly kind: "shortage"; readonly ms: number };

/** After these, and their time, everything goes on as it did; others leave a trace for a while. */
const HARMLESS: ReadonlySet<Act["kind"]> = new Set(["insert", "elsewhere", "cancel", "wake", "host", "truncate"]);

/** How long `act` may delay requests of others, in milliseconds; 0 where it may not. */
export function disturbsMs(act: Act): number {
  if (HARMLESS.has(act.kind)) return 0;
  if (act.kind === "stall") return 2 * act.ms;
  return "restartMs" in act ? act.restartMs : "ms" in act ? act.ms : 1;
}

/** One step of a history: what happens, and how long after the one before, in milliseconds. */
export interface Step {
  readonly afterMs: number;
  readonly act: Act;
}

/** One step as a line for a person to read. */
export function lineOf({ afterMs, act }: Step): string {
  const { kind, ...rest } = act;
  const fields = Object.entries(rest).map(([name, value]) => `${name} ${textOf(value)}`);
  return `after ${afterMs} ms: ${kind} ${fields.join(", ")}`;
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.map(requestText).join(" and ") : JSON.stringify(value);
}

function requestText({ host, lane, failures, maxAttempts, delayMs, bodyBytes, timeoutMs }: RequestShape): string {
  const parts = [
    host,
    lane === null ? "" : `lane ${lane}`,
    failures === 0 ? "" : `fails ${failures} times of ${maxAttempts}`,
    delayMs === null ? "" : `delayed ${delayMs} ms`,
    bodyBytes === 0 ? "" : `${bodyBytes} bytes`,
    `timeout ${timeoutMs} ms`,
  ];
  return `(${parts.filter((part) => part !== "").join(", ")})`;
}
