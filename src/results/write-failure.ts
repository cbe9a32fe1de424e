import { causeOf, isDataError } from "../pg/sqlstate.ts";

/** What a failed write means for its batch. */
export interface WriteFailure {
  /** SQLSTATE, or the system's error code where the server gave none. */
  readonly code: string;
  readonly message: string;
  /** True where the fault lies in a row: others may well be stored. */
  readonly dataFault: boolean;
  /** What the operator can do. */
  readonly hint: string;
}

const HINTS: Readonly<Record<string, string>> = {
  "53100": "The disk of the database is full: free or add space. Nothing is sent until results can be written again.",
  "25006": "The database is read-only: point DATABASE_URL to the primary, or lift default_transaction_read_only.",
  "42501":
    "The daemon's role lost a right on the tables of schema net: grant it again, or run pgnetd migrate as their owner.",
  "42P01": "A table of schema net is missing: run pgnetd migrate.",
  "42703": "A column of schema net is missing: run pgnetd migrate.",
  "3F000": "Schema net is missing: run pgnetd migrate.",
  "53300": "The server has no connection free: raise max_connections, or close others.",
  "28P01": "The password in DATABASE_URL was refused.",
  "55P03": "Somebody holds a lock on a table of schema net; see pg_locks.",
};

/** Reads an error of a write. */
export function writeFailure(error: unknown): WriteFailure {
  const message = error instanceof Error ? error.message : String(error);
  const code = causeOf(error);
  return {
    code,
    message,
    dataFault: isDataError(error),
    hint: HINTS[code] ?? "Results are kept and written as soon as the database takes them.",
  };
}

/** An error before anything was sent: these rows have no form for the database, such as text beyond the greatest length. */
export function rowFault(error: unknown): WriteFailure {
  return { ...writeFailure(error), dataFault: true };
}
