import { PgnetdError, toError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import { READ_ONLY_HINT } from "../pg/connection.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

/** What a command that failed says on standard error, and the exit code. */
export interface Report {
  readonly text: string;
  readonly exitCode: number;
}

/** Says what went wrong and what to do, without secrets (P11); with `stacks` also where. */
export function reportOf(thrown: unknown, stacks: boolean): Report {
  const error = thrown instanceof PgnetdError ? thrown : unexpected(thrown);
  const lines = [`pgnetd: ${error.message}`, `hint: ${error.hint}`];
  if (stacks) lines.push(...stacksOf(error));
  return { text: redact(`${lines.join("\n")}\n`), exitCode: error.exitCode };
}

/** Classes of SQLSTATE of a server that is short of something, ends, or ends a session. */
const UNREACHABLE: ReadonlySet<string> = new Set(["08", "53", "57"]);
/** A session or transaction ended for being idle or open for too long: its own settings, in the place of class 25. */
const TIMED_OUT: ReadonlySet<string> = new Set(["25P03", "25P04"]);

/** What no module has a code for: of the server's own errors some are no defect. */
function unexpected(thrown: unknown): PgnetdError {
  const { message } = toError(thrown);
  const sqlstate = sqlstateOf(thrown) ?? "";
  if (sqlstate === SQLSTATE.insufficientPrivilege) {
    const hint =
      "The role in DATABASE_URL lacks a right that this needs: pgnetd doctor says which, and how to grant it.";
    return new PgnetdError("PG_REFUSED", message, { cause: thrown, hint });
  }
  if (sqlstate === SQLSTATE.readOnlyTransaction) {
    return new PgnetdError("PG_UNREACHABLE", message, { cause: thrown, hint: READ_ONLY_HINT });
  }
  const isUnreachable = UNREACHABLE.has(sqlstate.slice(0, 2)) || TIMED_OUT.has(sqlstate);
  return new PgnetdError(isUnreachable ? "PG_UNREACHABLE" : "INTERNAL", message, { cause: thrown });
}

/** Not the errors' other fields: what was read, or values of rows, may be in them. */
function stacksOf(error: Error): readonly string[] {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error
    ? [stack, ...stacksOf(error.cause).map((cause) => `caused by ${cause}`)]
    : [stack];
}
