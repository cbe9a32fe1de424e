import type { Log } from "../base/log.ts";
import { shortageHint } from "../base/shortage.ts";

/** Requests wait half as long as a shortage has lasted, within these, in milliseconds. */
const LEAST_MS = 1_000;
const MOST_MS = 30_000;

/** A shortage is over when nothing was lacking for so long, in milliseconds. */
const OVER_MS = 2 * MOST_MS;

/**
 * What this process has too little of. Requests that could not be sent for want of it wait in the outbox, with all their
 * tries; those over connections that stand go on.
 */
export class Shortage {
  readonly #log: Log;
  readonly #random: () => number;
  #causes = new Set<string>();
  #since = 0;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(log: Log, random: () => number) {
    this.#log = log;
    this.#random = random;
  }

  /** For how many milliseconds a request waits that `cause`, a code of the system, kept from being sent. */
  delayMs(cause: string, now: number): number {
    if (now - this.#lastAt > OVER_MS) {
      this.#since = now;
      this.#causes.clear();
    }
    this.#lastAt = now;
    if (!this.#causes.has(cause)) {
      this.#causes.add(cause);
      this.#log.error(
        { cause, hint: shortageHint(cause) },
        "requests wait in the outbox for want of resources; those over connections that are open go on",
      );
    }
    const longest = Math.min(MOST_MS, Math.max(LEAST_MS, (now - this.#since) / 2));
    return Math.round(longest * (0.5 + this.#random() / 2));
  }
}
