import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { ask } from "./wire.ts";

/** Key of the session advisory lock that makes a daemon the leader of a database; `net.check_worker_is_up()` looks for it. */
export interface LockKey {
  readonly classId: number;
  /** One for each set of daemons that share a database. */
  readonly shard: number;
}

/** `pgnt` in ASCII. */
export const LOCK_CLASS_ID = 0x70676e74;

/**
 * How long one wait for the lock lasts. A waiting statement holds a snapshot and so holds back vacuum in the whole
 * database; between two slices there is none.
 */
const SLICE_MS = 20_000;

/** A slice that has not answered this long after its end means that the connection is dead. */
const SLICE_GRACE_MS = 5_000;

/** Who has the lock: a session as `pg_stat_activity` shows it; any role can take it. */
export interface LockHolder {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly address: string | null;
}

const SELECT_HOLDER = `select l.pid, a.usename as "user", a.application_name as application, a.client_addr::text as address
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a using (pid)
  where l.granted and l.locktype = 'advisory' and l.objsubid = 2
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())`;

/** What the waiting for the lock needs. */
export interface LockWait {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called once where another session holds the lock; null where it has let go since. */
  readonly waiting: (holder: LockHolder | null) => void;
  /** Answers that need not wait for the lock must come within this time, in milliseconds. */
  readonly answerMs: number;
}

/**
 * Takes the leader's lock on `client`'s session and resolves when it is held, to a moment of the clock that the session
 * was alive after. Rejects when the connection fails; resolves to null when `signal` fired first.
 */
export async function takeLeaderLock(
  client: pg.ClientBase,
  key: LockKey,
  { clock, signal, waiting, answerMs }: LockWait,
): Promise<number | null> {
  const args = `${key.classId}, ${key.shard}`;
  const askedAt = clock.now();
  const [tried] = await ask<{ held: boolean }>(
    client,
    `select pg_catalog.pg_try_advisory_lock(${args}) as held`,
    answerMs,
  );
  if (tried?.held === true) return askedAt;
  const [holder = null] = await ask<LockHolder & pg.QueryResultRow>(
    client,
    `${SELECT_HOLDER} and l.classid = ${key.classId} and l.objid = ${key.shard}`,
    answerMs,
  );
  waiting(holder);
  await ask(client, `set lock_timeout = ${SLICE_MS}`, answerMs);
  while (!signal.aborted) {
    if (await waitOneSlice(client, args, clock, signal)) {
      const heldAt = clock.now();
      await ask(client, "set lock_timeout = 0", answerMs);
      return signal.aborted ? null : heldAt;
    }
  }
  return null;
}

async function waitOneSlice(client: pg.ClientBase, args: string, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const deadline = new AbortController();
  const slice = client.query(`select pg_catalog.pg_advisory_lock(${args})`).then(
    () => "held" as const,
    (error: unknown) => {
      if (sqlstateOf(error) === SQLSTATE.lockNotAvailable) return "busy" as const;
      throw error;
    },
  );
  const late = clock
    .sleep(SLICE_MS + SLICE_GRACE_MS, AbortSignal.any([deadline.signal, signal]))
    .then(() => "late" as const);
  try {
    const first = await Promise.race([slice, late]);
    if (first === "late" && !signal.aborted) {
      throw new PgnetdError("STREAM_LOST", "no answer while waiting for the leader's lock");
    }
    return first === "held";
  } finally {
    deadline.abort();
    slice.catch(() => undefined);
  }
}
