import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { type LockKey, tryLock, unlock } from "./advisory-lock.ts";
import { ask } from "./wire.ts";

/** `pgnh` in ASCII. Another class than the leader's, which is looked for to know whether a daemon leads. */
export const HANDOVER_CLASS_ID = 0x70676e68;

const AGAIN_MS = 10;

/** A daemon's own change from one session that leads to another. */
export interface Handover {
  /** The daemon's session that leads; `end` resolves when it has ended, and let go of the lock. */
  readonly end: () => Promise<void>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** An answer must come, and the leader's lock be had, within this time, in milliseconds. */
  readonly answerMs: number;
}

/**
 * P3: takes the leader's lock over from a session of the same daemon. A second lock holds off daemons that stand by: they
 * would send again what is in flight here. Where this daemon dies on the way, that lock goes with `client`'s session. Resolves to
 * a moment of the clock that the session was alive after, with the leader's lock; to null when `signal` fired first.
 */
export async function takeOver(
  client: pg.ClientBase,
  leader: LockKey,
  { end, clock, signal, answerMs }: Handover,
): Promise<number | null> {
  const handover = { ...leader, classId: HANDOVER_CLASS_ID };
  if (!(await tryLock(client, handover, answerMs))) {
    throw new PgnetdError("STREAM_UNAVAILABLE", "another session holds the lock for handing over the lead", {
      hint: `See pg_locks for classid ${HANDOVER_CLASS_ID}; a session that is no pgnetd has taken it by mistake: end it.`,
    });
  }
  if (signal.aborted) return null;
  await end();
  const until = clock.now() + answerMs;
  while (!signal.aborted) {
    const askedAt = clock.now();
    if (await tryLock(client, leader, answerMs)) {
      await unlock(client, handover, answerMs);
      return askedAt;
    }
    if (askedAt >= until) throw new PgnetdError("STREAM_LOST", "another session has taken the leader's lock");
    await clock.sleep(AGAIN_MS, signal);
  }
  return null;
}

/** True while the leader's lock, which `client`'s session has got, is meant for another session of the daemon that had it. */
export async function isHandedOver(client: pg.ClientBase, leader: LockKey, answerMs: number): Promise<boolean> {
  const [tried] = await ask<{ free: boolean }>(
    client,
    `select pg_catalog.pg_try_advisory_xact_lock(${HANDOVER_CLASS_ID}, ${leader.shard}) as free`,
    answerMs,
  );
  return tried?.free !== true;
}
