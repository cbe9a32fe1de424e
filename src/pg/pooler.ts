import pg from "pg";

import { PgnetdError } from "../base/errors.ts";
import { isOutOfIds, isTimedOut, SQLSTATE, sqlstateOf } from "./sqlstate.ts";

const HINT = "A pooler answers in PostgreSQL's place: give DATABASE_URL the host and port of PostgreSQL itself.";

/** Statements are prepared once for each session, and never dropped. */
const OF_OTHERS: ReadonlySet<string> = new Set([SQLSTATE.duplicatePreparedStatement, SQLSTATE.invalidStatementName]);

/**
 * What mends an error that comes from a pooler; undefined for all others. PgBouncer and its like refuse a login as a violation of the
 * protocol, without the routine that PostgreSQL's own errors name; one that passes over what was asked for at login gives an
 * ordinary session, which does not know the commands of replication; and one that gives the sessions of the server to others between two
 * transactions loses prepared statements, or has those of others.
 */
export function poolerHint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError)) return undefined;
  const sqlstate = sqlstateOf(error);
  const isRefused = sqlstate === SQLSTATE.protocolViolation && error.routine === undefined;
  const isOrdinary = sqlstate === SQLSTATE.syntaxError && error.message.includes("IDENTIFY_SYSTEM");
  return isRefused || isOrdinary || OF_OTHERS.has(sqlstate ?? "") ? HINT : undefined;
}

const TIMED_OUT_HINT =
  "It had no answer in time, or was cancelled: see pg_locks and pg_prepared_xacts for who holds a lock on a table of schema net; else the server is busy, or silent.";

const OUT_OF_IDS_HINT =
  "The server has no transaction ids left until it is vacuumed: end what holds them, which are old sessions, prepared transactions and replication slots, and vacuum the database that it names.";

const NO_CONNECTION_HINT =
  "No connection is free: raise max_connections, or the connection limit of the role or the database, or close others.";

/** What mends an error of the database, where that is known. */
export function databaseHint(error: unknown): string | undefined {
  if (error instanceof PgnetdError) return error.hint;
  if (isOutOfIds(error)) return OUT_OF_IDS_HINT;
  if (sqlstateOf(error) === SQLSTATE.tooManyConnections) return NO_CONNECTION_HINT;
  return isTimedOut(error) ? TIMED_OUT_HINT : poolerHint(error);
}
