import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { endHint, holderText } from "../pg/lock-owner.ts";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID, type LockKey, tryLock, unlock } from "../wal/advisory-lock.ts";
import { holderOf, isStranger, type LockHolder, strangerText } from "./holder.ts";
import { ask } from "../wal/wire.ts";

const AGAIN_MS = 10;

/** A daemon's own change from one session that leads to another. */
export interface Handover {
  /** The daemon's session that leads; `end` resolves when it has ended, and released the lock. */
  readonly end: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** An answer must come, and the leader's lock be had, within this time, in milliseconds. */
  readonly answerMs: number;
  /** Interval of signs of life on the session while the other ends, in milliseconds. */
  readonly askEveryMs: number;
}

/** What came of taking over leadership. */
export interface TakenOver {
  /** A moment of the clock that the session was alive after. */
  readonly at: number;
  /** False where somebody who is no pgnetd got the leader's lock in between: the other lock is kept in its place. */
  readonly hasLock: boolean;
}

/**
 * P3: takes the leader's lock over from a session of the same daemon. A second lock holds off daemons that stand by: they
 * would send again what is in flight here. Where this daemon dies on the way, that lock goes with `client`'s session. Resolves
 * when `client`'s session leads, or to null when `signal` fired first.
 */
export async function takeOver(client: pg.ClientBase, leader: LockKey, handover: Handover): Promise<TakenOver | null> {
  const { end, clock, log, signal, answerMs } = handover;
  const key = { ...leader, classId: HANDOVER_CLASS_ID };
  if (!(await tryLock(client, key, answerMs))) throw await refusal(client, leader, answerMs);
  if (signal.aborted) return null;
  await staysAlive(client, end(), handover);
  const until = clock.now() + answerMs;
  while (!signal.aborted) {
    const at = clock.now();
    if (await takeLockBack(client, leader, answerMs)) return { at, hasLock: true };
    const holder = await holderOf(client, leader, answerMs);
    if (holder !== null && isStranger(holder)) {
      log.warn(
        { holder, hint: endHint(holder) },
        "a session that is no pgnetd has taken the leader's lock: this daemon stays leader without it, but no later one can lead",
      );
      return { at, hasLock: false };
    }
    if (at >= until) throw new PgnetdError("STREAM_LOST", "another session has taken the leader's lock");
    await clock.sleep(AGAIN_MS, signal);
  }
  return null;
}

/** Takes the leader's lock where it is free, and then releases the one for handing over; true where it did. */
export async function takeLockBack(client: pg.ClientBase, leader: LockKey, answerMs: number): Promise<boolean> {
  if (!(await tryLock(client, leader, answerMs))) return false;
  await unlock(client, { ...leader, classId: HANDOVER_CLASS_ID }, answerMs);
  return true;
}

/** Waits for `end`; the server would end a session that says nothing for long, and its locks with it. */
async function staysAlive(client: pg.ClientBase, end: Promise<void>, handover: Handover): Promise<void> {
  const { clock, answerMs, askEveryMs } = handover;
  const ended = new AbortController();
  const whenEnded = end.finally(() => ended.abort());
  while (!ended.signal.aborted) {
    await clock.sleep(askEveryMs, ended.signal);
    if (!ended.signal.aborted) await ask(client, "select", answerMs);
  }
  await whenEnded;
}

/** Who prevents the hand-over of leadership. */
async function refusal(client: pg.ClientBase, leader: LockKey, answerMs: number): Promise<PgnetdError> {
  const strangerIn = async (classId: number): Promise<LockHolder | null> => {
    const holder = await holderOf(client, { ...leader, classId }, answerMs);
    return holder !== null && isStranger(holder) ? holder : null;
  };
  const stranger = (await strangerIn(LOCK_CLASS_ID)) ?? (await strangerIn(HANDOVER_CLASS_ID));
  if (stranger !== null) {
    return new PgnetdError("STREAM_UNAVAILABLE", strangerText(stranger), { hint: endHint(stranger) });
  }
  const other = await holderOf(client, { ...leader, classId: HANDOVER_CLASS_ID }, answerMs);
  const who = other === null ? "another session" : holderText(other);
  return new PgnetdError("STREAM_UNAVAILABLE", `${who} holds the lock for handing over leadership`, {
    hint: "It is tried again.",
  });
}

/** True while the leader's lock, which `client`'s session has got, is meant for another session of the daemon that had it. */
export async function isHandedOver(client: pg.ClientBase, leader: LockKey, answerMs: number): Promise<boolean> {
  const holder = await holderOf(client, { ...leader, classId: HANDOVER_CLASS_ID }, answerMs);
  return holder !== null && !isStranger(holder);
}
