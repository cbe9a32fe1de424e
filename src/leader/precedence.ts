import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import type { LockKey } from "../wal/advisory-lock.ts";
import { holderOf } from "./holder.ts";

/** How long the lock is left to the daemon that led, in milliseconds. That one is back sooner: see `AWAY_RETRY_MS`. */
export const PRECEDENCE_MS = 1_000;

/** How often it is looked for meanwhile, in milliseconds: it need not be waited for once it leads. */
const LOOK_EVERY_MS = 100;

/**
 * P3: who comes first where all sessions ended at once, as with a restart of the server: the daemon that led. It has answers that are not
 * written and requests in flight, which any other would send again. So one that stood by leaves it the lock for a moment. Where the
 * session of one that stands by goes on, nothing is left to anybody: it has the lock as soon as the leader's session ends.
 */
export class Precedence {
  /** Another session had the lock since this daemon had it last. */
  #hasStoodBy = false;

  /** This daemon has got the lock, on a session that went on: who had it before has ended, and nothing is to be left to that one. */
  leads(): void {
    this.#hasStoodBy = false;
  }

  /** Another session has it. */
  standsBy(): void {
    this.#hasStoodBy = true;
  }

  /** Resolves when `client`'s new session may ask for the lock. */
  async turn(
    client: pg.ClientBase,
    key: LockKey,
    { clock, signal, answerMs }: { readonly clock: Clock; readonly signal: AbortSignal; readonly answerMs: number },
  ): Promise<void> {
    if (!this.#hasStoodBy) return;
    const until = clock.now() + PRECEDENCE_MS;
    while (!signal.aborted && clock.now() < until && (await holderOf(client, key, answerMs)) === null) {
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
  }
}
