import { admissionHint, READ_ONLY_HINT } from "../pg/connection.ts";
import { databaseHint, poolerHint } from "../pg/pooler.ts";
import { causeOf, isDataError, isPassing, isServerError, SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

/** What a failed write means for its batch. */
export interface WriteFailure {
  /** SQLSTATE, or the system's error code where the server gave none. */
  readonly code: string;
  readonly message: string;
  /**
   * Where the fault lies: in a row, so that others may well be stored; in the database, which takes none; or in either, since what a
   * trigger does with a row may fail for any reason.
   */
  readonly fault: "row" | "database" | "either";
  /** True where the same row may well be stored later as it is. */
  readonly isPassing: boolean;
  /** What the operator can do. */
  readonly hint: string;
}

const HINTS: Readonly<Record<string, string>> = {
  [SQLSTATE.diskFull]:
    "The disk of the database is full: free or add space. Nothing is sent until results can be written again.",
  [SQLSTATE.readOnlyTransaction]: READ_ONLY_HINT,
  [SQLSTATE.insufficientPrivilege]:
    "The daemon's role lost a right on the tables of schema net: grant it again, or run pgnetd migrate as their owner.",
  [SQLSTATE.undefinedTable]: "A table of schema net is missing: run pgnetd migrate.",
  [SQLSTATE.undefinedColumn]: "A column of schema net is missing: run pgnetd migrate.",
  [SQLSTATE.invalidSchema]: "Schema net is missing: run pgnetd migrate.",
  [SQLSTATE.invalidPassword]: "The password in DATABASE_URL was refused.",
  [SQLSTATE.lockNotAvailable]: "Somebody holds a lock on a table of schema net; see pg_locks.",
};

/** Reads an error of a write. */
export function writeFailure(error: unknown): WriteFailure {
  const message = error instanceof Error ? error.message : String(error);
  const code = causeOf(error);
  return {
    code,
    message,
    fault: faultOf(error),
    isPassing: isPassing(error),
    hint:
      admissionHint(error) ??
      HINTS[code] ??
      databaseHint(error) ??
      "Results are kept and written as soon as the database takes them.",
  };
}

/** An error before anything was sent: these rows have no form for the database, such as text beyond the greatest length. */
export function rowFault(error: unknown): WriteFailure {
  return { ...writeFailure(error), fault: "row" };
}

function faultOf(error: unknown): WriteFailure["fault"] {
  if (isDataError(error)) return "row";
  // A missing right is for the owner to grant, and nothing is stored without it. Through a pooler each statement may find other sessions.
  const isOfAll = sqlstateOf(error) === SQLSTATE.insufficientPrivilege || poolerHint(error) !== undefined;
  return isOfAll || isServerError(error) ? "database" : "either";
}
