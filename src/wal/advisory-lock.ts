import type pg from "pg";

import { ask } from "./wire.ts";

/** `pgnt` in ASCII: the lock that makes a daemon the leader of a database; `net.check_worker_is_up()` looks for it. */
export const LOCK_CLASS_ID = 0x70676e74;

/** `pgnh` in ASCII: the lock that is held while leadership goes from one session of a daemon to another. */
export const HANDOVER_CLASS_ID = 0x70676e68;

/** Key of a session advisory lock. */
export interface LockKey {
  readonly classId: number;
  /** One for each set of daemons that share a database. */
  readonly shard: number;
}

/** Acquires the lock on `client`'s session where it is free; true where it did. */
export async function tryLock(client: pg.ClientBase, { classId, shard }: LockKey, answerMs: number): Promise<boolean> {
  const text = `select pg_catalog.pg_try_advisory_lock(${classId}, ${shard}) as held`;
  const [tried] = await ask<{ held: boolean }>(client, text, answerMs);
  return tried?.held === true;
}

/** Lets go of a lock of `client`'s session. */
export async function unlock(client: pg.ClientBase, { classId, shard }: LockKey, answerMs: number): Promise<void> {
  await ask(client, `select pg_catalog.pg_advisory_unlock(${classId}, ${shard})`, answerMs);
}
