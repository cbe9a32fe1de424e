import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { type LockKey, tryLock, unlock } from "./advisory-lock.ts";
import { HANDOVER_CLASS_ID, isHandedOver } from "./handover.ts";
import { ask } from "./wire.ts";

/** `pgnt` in ASCII: the lock that makes a daemon the leader of a database; `net.check_worker_is_up()` looks for it. */
export const LOCK_CLASS_ID = 0x70676e74;

/**
 * How long one wait for the lock lasts. A waiting statement holds a snapshot and so holds back vacuum in the whole
 * database; between two slices there is none.
 */
const SLICE_MS = 20_000;

/** A slice that has not answered this long after its end means that the connection is dead. */
const SLICE_GRACE_MS = 5_000;

/** How long the lock is left to a session that it is handed over to; that takes milliseconds. */
const LEAVE_MS = 100;

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
  /** Called for each session that holds the lock, or takes it over, meanwhile; with null where it has let go since. */
  readonly waiting: (holder: LockHolder | null) => void;
  /** Answers that need not wait for the lock must come within this time, in milliseconds. */
  readonly answerMs: number;
}

/**
 * Takes the leader's lock on `client`'s session and resolves when it is held, to a moment of the clock that the session
 * was alive after. A lock that the leader hands over to another session of its own is left to that one (P3). Rejects
 * when the connection fails; resolves to null when `signal` fired first.
 */
export async function takeLeaderLock(
  client: pg.ClientBase,
  key: LockKey,
  { clock, signal, waiting, answerMs }: LockWait,
): Promise<number | null> {
  const args = `${key.classId}, ${key.shard}`;
  const askedAt = clock.now();
  const leave = async (): Promise<boolean> => {
    if (!(await isHandedOver(client, key, answerMs))) return false;
    await unlock(client, key, answerMs);
    return true;
  };
  if ((await tryLock(client, key, answerMs)) && !(await leave())) return askedAt;
  let told: LockHolder | null | undefined;
  const tell = async (): Promise<void> => {
    const holder = await holderOf(client, key, answerMs);
    if (told === undefined || holder?.pid !== told?.pid) waiting(holder);
    told = holder;
  };
  await tell();
  await ask(client, `set lock_timeout = ${SLICE_MS}`, answerMs);
  while (!signal.aborted) {
    if (!(await waitOneSlice(client, args, clock, signal))) continue;
    const heldAt = clock.now();
    if (await leave()) {
      await tell();
      await clock.sleep(LEAVE_MS, signal);
      continue;
    }
    await ask(client, "set lock_timeout = 0", answerMs);
    return signal.aborted ? null : heldAt;
  }
  return null;
}

/** Who has the lock, or has it handed over. */
async function holderOf(client: pg.ClientBase, key: LockKey, answerMs: number): Promise<LockHolder | null> {
  const text = `${SELECT_HOLDER} and l.classid in (${key.classId}, ${HANDOVER_CLASS_ID}) and l.objid = ${key.shard}
    order by l.classid = ${key.classId} desc limit 1`;
  return (await ask<LockHolder & pg.QueryResultRow>(client, text, answerMs))[0] ?? null;
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
