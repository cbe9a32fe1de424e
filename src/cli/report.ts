import { PgnetdError, toError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";

/** What a command that failed says on standard error, and the exit code. */
export interface Report {
  readonly text: string;
  readonly exitCode: number;
}

/** Says what went wrong and what to do, without secrets (P11); with `stacks` also where. */
export function reportOf(thrown: unknown, stacks: boolean): Report {
  const error =
    thrown instanceof PgnetdError ? thrown : new PgnetdError("INTERNAL", toError(thrown).message, { cause: thrown });
  const lines = [`pgnetd: ${error.message}`, `hint: ${error.hint}`];
  if (stacks) lines.push(...stacksOf(error));
  return { text: redact(`${lines.join("\n")}\n`), exitCode: error.exitCode };
}

/** Not the errors' other fields: what was read, or values of rows, may be in them. */
function stacksOf(error: Error): readonly string[] {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error
    ? [stack, ...stacksOf(error.cause).map((cause) => `caused by ${cause}`)]
    : [stack];
}
