import Bottleneck from "bottleneck";

import type { Clock } from "../base/clock.ts";

/**
 * Bottleneck counts its waits from `Date.now()`: after the system clock was set back it would wait for as long as that. A job that
 * is this late in starting gets a new limiter, which lets it go at once. That exceeds no rate, whatever made the job late: a permit
 * is released when `waitMs` says that there is one.
 */
const LATE_MS = 1_000;

/** Where groups are further apart, the rest is waited for by `waitMs`: a timer of more than some 25 days would fire at once. */
const LONGEST_GROUP_MS = 60_000;

/** What a pace needs to know of its owner. */
export interface PaceOptions {
  /** Least time between two releases, in milliseconds. */
  readonly groupMs: number;
  /** Milliseconds until a permit is free. */
  readonly waitMs: () => number;
  /** Called once for each `ask`, when a permit is free. */
  readonly release: () => void;
  readonly clock: Clock;
}

/**
 * Paces the release of permits to those who wait: one bottleneck job lets a whole group go, since a job for each request
 * ends at some 420 per second. It holds no timer while nobody asks.
 */
export class Pace implements Disposable {
  readonly #options: PaceOptions;
  readonly #groupMs: number;
  readonly #stop = new AbortController();
  #limiter: Bottleneck;
  #asked = false;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#groupMs = Math.min(options.groupMs, LONGEST_GROUP_MS);
    this.#limiter = newLimiter(this.#groupMs);
  }

  /** Asks for one `release`; further calls before it change nothing. */
  ask(): void {
    if (this.#asked || this.#stop.signal.aborted) return;
    this.#asked = true;
    this.#schedule();
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    clearTimeout(this.#watchdog);
    stopLimiter(this.#limiter);
  }

  #schedule(): void {
    void this.#limiter.schedule(() => this.#release());
    this.#watchdog = setTimeout(() => {
      stopLimiter(this.#limiter);
      this.#limiter = newLimiter(this.#groupMs);
      this.#schedule();
    }, this.#groupMs + LATE_MS);
  }

  async #release(): Promise<void> {
    clearTimeout(this.#watchdog);
    const { waitMs, release, clock } = this.#options;
    for (let ms = waitMs(); ms > 0 && !this.#stop.signal.aborted; ms = waitMs()) {
      await clock.sleep(Math.ceil(ms), this.#stop.signal);
    }
    if (this.#stop.signal.aborted) return;
    this.#asked = false;
    release();
  }
}

function newLimiter(minTime: number): Bottleneck {
  return new Bottleneck({ minTime, rejectOnDrop: false });
}

/** Drops its jobs and timers; what it returns may never settle, and nothing depends on it. */
function stopLimiter(limiter: Bottleneck): void {
  void limiter.stop({ dropWaitingJobs: true });
}
