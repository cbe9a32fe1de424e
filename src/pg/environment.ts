import { PgnetdError } from "../base/errors.ts";

/** Where a row is; as text, since nothing is done with it but to compare it. */
export interface Place {
  /** Oid of the database. */
  readonly database: string;
  /** Oid of the table. */
  readonly table: string;
  /** The transaction that wrote the row. */
  readonly row: string;
  /** The cluster; null where it may not be known. */
  readonly system: string | null;
}

/** What decides whether a daemon serves a database. */
export interface Claim {
  /** The environment that the database was recorded for; null for none. */
  readonly environment: string | null;
  /** Where a daemon last ran on it; null where none has yet. */
  readonly recorded: Place | null;
  /** Where it is now. */
  readonly place: Place;
}

/**
 * True where the database is a copy of one that a daemon ran on: a dump that was restored, or made of a template. A failover,
 * a restored base backup and pg_upgrade keep both oids; so do programs that rewrite tables, in the same cluster. A copy of a
 * whole cluster cannot be distinguished from its original.
 */
export function isCopy({ recorded, place }: Pick<Claim, "recorded" | "place">): boolean {
  if (recorded === null) return false;
  if (recorded.database !== place.database || recorded.table !== place.table) return true;
  // A dump of a dump may have been given the same oids again.
  const knowsBoth = recorded.system !== null && place.system !== null;
  return knowsBoth && recorded.system !== place.system && recorded.row !== place.row;
}

/** Why a daemon of `wanted`, null for no environment, must not serve a database; null where it may. */
export function environmentProblem(claim: Claim, wanted: string | null): PgnetdError | null {
  const { environment } = claim;
  if (environment !== null) return wanted === environment ? null : otherEnvironment(environment, wanted);
  if (isCopy(claim)) return copy();
  return wanted === null ? null : noEnvironment(wanted);
}

function otherEnvironment(environment: string, wanted: string | null): PgnetdError {
  const here = wanted === null ? "no environment is set here" : `the environment set here is ${wanted}`;
  return refusal(
    `this database is recorded for the environment ${environment}, and ${here}`,
    `Where this is the database of ${environment}, set database.environment (PGNETD_ENVIRONMENT) to that; where it is a copy, pgnetd adopt makes it one of its own.`,
  );
}

function copy(): PgnetdError {
  return refusal(
    "this database is a copy: pgnetd has not run on it, but on the one that it was made from",
    "pgnetd adopt makes it one of its own: with --discard, which deletes the requests that came with the copy, or with --moved where it takes the place of the original.",
  );
}

function noEnvironment(wanted: string): PgnetdError {
  return refusal(
    `this database is recorded for no environment, and the environment set here is ${wanted}`,
    `Where this is the database of ${wanted}, run pgnetd migrate, which records it; where it is a copy of another, run pgnetd adopt.`,
  );
}

function refusal(message: string, hint: string): PgnetdError {
  return new PgnetdError("WRONG_ENVIRONMENT", message, { hint: `Nothing was sent. ${hint}` });
}
