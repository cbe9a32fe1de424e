import pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** Held in each transaction of a migration, so that of several at once each waits for the others. `pgnm` in ASCII. */
const LOCK_CLASS_ID = 0x70676e6d;

/** Another migration is waited for so long, in milliseconds; and so is any role that has taken the lock. */
const LOCK_WAIT_MS = 60_000;

/** Read committed: after the wait for the lock, the next statement must see what the one before did. */
const BEGIN = `begin isolation level read committed;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;
set local statement_timeout = 0`;

const LOCK = `select pg_catalog.pg_advisory_xact_lock(${LOCK_CLASS_ID}, 0);
set local lock_timeout = 0`;

const SELECT_HOLDER = `
select l.pid, a.usename::text as user, a.application_name as application
from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.granted and l.locktype = 'advisory' and l.objsubid = 2::int2 and l.classid = '${LOCK_CLASS_ID}'::oid
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
limit 1`;

/** Runs one step of a migration; `what` names it where it fails. */
export type Step = <T>(what: string, act: () => Promise<T>) => Promise<T>;

/** Each step in a transaction of its own. */
export function inTransactions(client: pg.ClientBase, lockWaitMs = LOCK_WAIT_MS): Step {
  return async (what, act) => {
    try {
      await client.query(BEGIN);
      await lock(client, lockWaitMs);
      const result = await act();
      await client.query("commit");
      return result;
    } catch (error) {
      await client.query("rollback").catch(() => undefined);
      throw failure(what, error);
    }
  };
}

async function lock(client: pg.ClientBase, waitMs: number): Promise<void> {
  try {
    await client.query(`set local lock_timeout = ${waitMs}; ${LOCK}`);
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.lockNotAvailable) throw error;
    await client.query("rollback");
    throw await locked(client);
  }
}

async function locked(client: pg.ClientBase): Promise<PgnetdError> {
  const { rows } = await client.query<{ pid: number; user: string | null; application: string | null }>(SELECT_HOLDER);
  const { pid = 0, user = null, application = null } = rows[0] ?? {};
  const who = pid === 0 ? "another session" : `process ${pid} (${application ?? "?"}, role ${user ?? "?"})`;
  return new PgnetdError("PG_UNREACHABLE", `${who} holds the lock for migrations`, {
    hint: `Wait for it where it is a pgnetd that migrates; any role can take the lock: end others with select pg_terminate_backend(${pid});`,
  });
}

/** Each step in the transaction that is open already. */
export const inOpenTransaction: Step = async (what, act) => {
  try {
    return await act();
  } catch (error) {
    throw failure(what, error);
  }
};

/** Classes of SQLSTATE that pass: a server that ends, is full, or is not the primary yet. A lost connection has none. */
const PASSING: ReadonlySet<string> = new Set(["08", "25", "40", "53", "57"]);

function failure(what: string, error: unknown): PgnetdError {
  if (error instanceof PgnetdError) return error;
  const sqlstate = sqlstateOf(error);
  const depends = sqlstate === SQLSTATE.dependentObjectsStillExist && error instanceof pg.DatabaseError;
  const message = `${what}: ${toError(error).message}${depends ? `: ${error.detail ?? ""}` : ""}`;
  if (sqlstate === null || PASSING.has(sqlstate.slice(0, 2))) {
    return new PgnetdError("PG_UNREACHABLE", message, { cause: error });
  }
  const hint =
    sqlstate === SQLSTATE.insufficientPrivilege
      ? "Connect as the owner of schema net, or as a role with CREATE on the database, and run pgnetd migrate again."
      : undefined;
  return new PgnetdError("MIGRATION_FAILED", message, { cause: error, hint });
}
