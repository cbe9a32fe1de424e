import { LOCK_CLASS_ID } from "../../../src/wal/advisory-lock.ts";
import type { Session } from "./session.ts";

/** The key of the leader's lock, as it stands in statements. */
export const LEADER_KEY = `${LOCK_CLASS_ID} 0`;

interface Waiter {
  readonly session: Session;
  readonly granted: () => void;
}

interface Lock {
  readonly holder: Session;
  readonly waiters: Waiter[];
}

/** Session advisory locks, given in the order in which they were asked for. */
export class Locks {
  /** Called with the session that has the leader's lock now, null without one. */
  held: (session: Session | null) => void = () => undefined;
  readonly #locks = new Map<string, Lock>();

  holderOf(key: string): Session | null {
    return this.#locks.get(key)?.holder ?? null;
  }

  tryLock(key: string, session: Session): boolean {
    const lock = this.#locks.get(key);
    if (lock !== undefined) return lock.holder === session;
    this.#give(key, { holder: session, waiters: [] });
    return true;
  }

  /** Calls `granted` when the lock is had. Returns what ends the wait. */
  wait(key: string, session: Session, granted: () => void): () => void {
    const lock = this.#locks.get(key);
    if (lock === undefined) {
      this.#give(key, { holder: session, waiters: [] });
      granted();
      return () => undefined;
    }
    const waiter = { session, granted };
    lock.waiters.push(waiter);
    return () => {
      const at = lock.waiters.indexOf(waiter);
      if (at !== -1) lock.waiters.splice(at, 1);
    };
  }

  unlock(key: string, session: Session): void {
    const lock = this.#locks.get(key);
    if (lock?.holder !== session) return;
    const next = lock.waiters.shift();
    if (next === undefined) {
      this.#locks.delete(key);
      if (key === LEADER_KEY) this.held(null);
      return;
    }
    this.#give(key, { ...lock, holder: next.session });
    next.granted();
  }

  #give(key: string, lock: Lock): void {
    this.#locks.set(key, lock);
    if (key === LEADER_KEY) this.held(lock.holder);
  }

  unlockAll(session: Session): void {
    for (const key of this.#locks.keys()) this.unlock(key, session);
  }
}
