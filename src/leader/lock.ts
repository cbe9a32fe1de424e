import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { type LockKey, tryLock, unlock } from "../wal/advisory-lock.ts";
import { isHandedOver } from "./handover.ts";
import { holderOf, isSameHolder, type LockHolder } from "./holder.ts";
import type { Precedence } from "./precedence.ts";
import { ask } from "../wal/wire.ts";

/**
 * A waiting statement holds a snapshot and so holds back vacuum in the whole database; between two slices there is none. And
 * after each it is seen who has the lock.
 */
const SLICE_MS = 20_000;

/** A slice that has not answered this long after its end means that the connection is dead. */
const SLICE_GRACE_MS = 5_000;

/** How long the lock is left to a session that it is handed over to; that takes milliseconds. */
const LEAVE_MS = 100;

/** What the waiting for the lock needs. */
export interface LockWait {
  /** Of the daemon: the same for each of its sessions. */
  readonly precedence: Precedence;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called for each session that holds the lock, or takes it over, meanwhile; with null where it has released it since. */
  readonly waiting: (holder: LockHolder | null) => void;
  /** Answers that need not wait for the lock must come within this time, in milliseconds. */
  readonly answerMs: number;
  /** How long one wait for the lock lasts, in milliseconds; 20,000 unless set. */
  readonly sliceMs?: number;
}

/**
 * Takes the leader's lock on `client`'s session and resolves when it is held, to a moment of the clock that the session
 * was alive after. A lock that the leader hands over to another session of its own is left to that one (P3), and one that
 * is free at first to the daemon that led before, see `Precedence`. Rejects when the connection fails; resolves to null when `signal` fired first.
 */
export async function takeLeaderLock(client: pg.ClientBase, key: LockKey, wait: LockWait): Promise<number | null> {
  const { precedence, clock, signal, waiting, answerMs, sliceMs = SLICE_MS } = wait;
  await precedence.turn(client, key, wait);
  if (signal.aborted) return null;
  const askedAt = clock.now();
  const leave = async (): Promise<boolean> => {
    if (!(await isHandedOver(client, key, answerMs))) return false;
    await unlock(client, key, answerMs);
    return true;
  };
  if ((await tryLock(client, key, answerMs)) && !(await leave())) {
    precedence.leads();
    return askedAt;
  }
  precedence.standsBy();
  let reported: LockHolder | null | undefined;
  const report = async (): Promise<void> => {
    const holder = await holderOf(client, { shard: key.shard }, answerMs);
    if (reported === undefined || !isSameHolder(holder, reported)) waiting(holder);
    reported = holder;
  };
  await report();
  await ask(client, `set lock_timeout = ${sliceMs}`, answerMs);
  while (!signal.aborted) {
    if (!(await waitOneSlice(client, key, { ...wait, sliceMs }))) {
      // Whoever waited longer than this session may have it by now.
      if (!signal.aborted) await report();
      continue;
    }
    const heldAt = clock.now();
    if (await leave()) {
      await report();
      await clock.sleep(LEAVE_MS, signal);
      continue;
    }
    await ask(client, "set lock_timeout = 0", answerMs);
    precedence.leads();
    return signal.aborted ? null : heldAt;
  }
  return null;
}

async function waitOneSlice(
  client: pg.ClientBase,
  { classId, shard }: LockKey,
  { clock, signal, sliceMs }: LockWait & { readonly sliceMs: number },
): Promise<boolean> {
  const deadline = new AbortController();
  const slice = client.query(`select pg_catalog.pg_advisory_lock(${classId}, ${shard})`).then(
    () => "held" as const,
    (error: unknown) => {
      if (sqlstateOf(error) === SQLSTATE.lockNotAvailable) return "busy" as const;
      throw error;
    },
  );
  const late = clock
    .sleep(sliceMs + SLICE_GRACE_MS, AbortSignal.any([deadline.signal, signal]))
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
