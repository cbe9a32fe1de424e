import pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { admissionHint, isRefused } from "../pg/connection.ts";
import { poolerHint } from "../pg/pooler.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

import { PUBLICATIONS } from "../pg/own-publications.ts";
import { IN_USE_HINT } from "./slot.ts";

/** Why there is no stream, and what mends it. Free of secrets (P11). */
export interface StreamOutage {
  readonly reason: string;
  readonly sqlstate: string | null;
  readonly hint: string;
}

const HINTS: Readonly<Record<string, string>> = {
  [SQLSTATE.insufficientPrivilege]:
    "Give the role of DATABASE_URL the right to replicate: alter role … replication, or the provider's role for it.",
  [SQLSTATE.configurationLimitExceeded]:
    "Raise max_replication_slots, or drop slots that nobody uses (see pg_replication_slots).",
  [SQLSTATE.tooManyConnections]:
    "Raise max_wal_senders and max_connections, or the connection limit of the role or the database, or end sessions that nobody needs.",
  [SQLSTATE.objectNotInPrerequisiteState]:
    "Logical decoding needs wal_level = logical and max_replication_slots above 0, and a restart of PostgreSQL.",
  [SQLSTATE.objectInUse]: IN_USE_HINT,
  [SQLSTATE.undefinedObject]: `Make the publications: ${PUBLICATIONS.map(({ make }) => make).join("; ")};`,
  [SQLSTATE.diskFull]:
    "A disk of the database is full, which it needs to put a large transaction together, and for slots: free or add space. Requests are sent by sweeping meanwhile.",
  [SQLSTATE.outOfMemory]:
    "The server has too little memory for a transaction, or for a slot. Requests are sent by sweeping meanwhile.",
  [SQLSTATE.undefinedFile]:
    "Install the output plugin on the server, or set slot.plugin (PGNETD_SLOT_PLUGIN) to pgoutput.",
};

const CRASHED: ReadonlySet<string> = new Set([SQLSTATE.crashShutdown, SQLSTATE.cannotConnectNow]);

/** What an error that ended a session means to the operator. */
export function outageOf(error: unknown): StreamOutage {
  const sqlstate = sqlstateOf(error);
  const code = isRefused(error) ? "PG_REFUSED" : isUnreachable(error) ? "PG_UNREACHABLE" : "STREAM_UNAVAILABLE";
  const general = error instanceof PgnetdError ? error : new PgnetdError(code, "");
  return {
    reason: toError(error).message,
    sqlstate,
    hint:
      admissionHint(error) ??
      lostLogHint(error) ??
      serversHint(error) ??
      HINTS[sqlstate ?? ""] ??
      poolerHint(error) ??
      general.hint,
  };
}

/** True where the database itself could not be reached: the system or the driver says so, or a server that starts or has crashed. */
export function isUnreachable(error: unknown): boolean {
  if (error instanceof PgnetdError) return false;
  const sqlstate = sqlstateOf(error);
  return sqlstate === null || sqlstate.startsWith("08") || CRASHED.has(sqlstate);
}

/** The log that a slot needs was removed: the server calls that an undefined file, as it does a plugin that is not there. */
function lostLogHint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError) || error.routine !== "WalSndSegmentOpen") return undefined;
  return "The log that the slot needs is gone: the slot is recreated, and what it would have brought is read from the outbox.";
}

/** A right may be missing for more than one reason, and the server knows which: it has a hint for an output plugin that it does not trust. */
function serversHint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code !== SQLSTATE.insufficientPrivilege) return undefined;
  return error.hint;
}
