import type pg from "pg";

import { NEVER, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { endHint } from "../pg/lock-owner.ts";
import type { Queryable } from "../pg/pool.ts";
import { LOCK_CLASS_ID } from "../wal/advisory-lock.ts";
import { isStranger, readHolder, strangerText } from "../leader/holder.ts";

/** Anybody can give a session that name, but not the right to write results. */
const SELECT_DAEMONS = `
select pg_catalog.pg_try_advisory_xact_lock(${LOCK_CLASS_ID}, 0) as free,
  array(
    select a.pid from pg_catalog.pg_stat_activity a
    where a.datname = pg_catalog.current_database() and a.application_name like 'pgnetd%leader'
      and pg_catalog.has_table_privilege(
        a.usesysid, pg_catalog.to_regclass('net.http_response_detail')::oid, 'insert'::text)
    order by a.pid) as pids`;

/** Whether the leader's lock was to be had, and the sessions of daemons. */
interface Daemons {
  readonly free: boolean;
  readonly pids: readonly number[];
}

/** Sessions without the lock may be those of a daemon that has ended: so long they are waited for, in milliseconds. */
const ENDED_MS = 3_000;
const LOOK_EVERY_MS = 200;

/** Callers wait behind us while we wait for others. */
const BEGIN = `begin isolation level read committed;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;
set local lock_timeout = '5s'`;

/** Runs `act` in one transaction of `client`, during which no daemon leads. Throws as `refuseDaemons` does, and what `act` throws. */
export async function withoutDaemons<T>(client: Queryable, act: () => Promise<T>): Promise<T> {
  try {
    await client.query({ text: BEGIN });
    await refuseDaemons(client);
    const result = await act();
    await client.query({ text: "commit" });
    return result;
  } catch (error) {
    await client.query({ text: "rollback" }).catch(() => undefined);
    throw error;
  }
}

/**
 * Holds the leader's lock until the caller's transaction ends, so that no daemon begins to lead meanwhile. Throws NOT_DONE
 * where one leads or is on standby already, or somebody else has the lock.
 */
export async function refuseDaemons(client: Queryable): Promise<void> {
  const begunAt = systemClock.now();
  let { free, pids } = await readDaemons(client);
  // One that ended just now: the server notices within a second that it is gone.
  while (free && pids.length > 0 && systemClock.now() - begunAt < ENDED_MS) {
    await systemClock.sleep(LOOK_EVERY_MS, NEVER);
    ({ free, pids } = await readDaemons(client));
  }
  if (free && pids.length === 0) return;
  const holder = await readHolder(client);
  if (holder !== null && isStranger(holder)) {
    throw new PgnetdError("NOT_DONE", strangerText(holder), { hint: endHint(holder) });
  }
  const which = pids.length === 0 ? "" : `: ${pids.length === 1 ? "process" : "processes"} ${pids.join(", ")}`;
  throw new PgnetdError("NOT_DONE", `pgnetd is connected to this database${which}`, {
    hint: "Stop every pgnetd of this database, those that stand by too, then run the command again.",
  });
}

async function readDaemons(client: Queryable): Promise<Daemons> {
  // Within a transaction the sessions are else those of the first look.
  await client.query({ text: "select pg_catalog.pg_stat_clear_snapshot()" });
  const { rows } = await client.query<Daemons & pg.QueryResultRow>({ text: SELECT_DAEMONS });
  return rows[0] ?? { free: false, pids: [] };
}
