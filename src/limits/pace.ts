import Bottleneck from "bottleneck";

import type { Clock } from "../base/clock.ts";

/**
 * Bottleneck counts its waits from `Date.now()`: after the system clock was set back it would wait for as long as that.
 * So where a job is this late in starting and the clock was set back, it gets a new limiter.
 */
const LATE_MS = 1_000;
/** Less than this is the ordinary slewing of the system clock. */
const SET_BACK_MS = 50;

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
  readonly #stop = new AbortController();
  #limiter: Bottleneck;
  /** The furthest that the system clock was ahead of `clock` while this limiter counted its waits. */
  #offsetMs = Number.NEGATIVE_INFINITY;
  #asked = false;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#limiter = newLimiter(options.groupMs);
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
    this.#offsetMs = Math.max(this.#offsetMs, this.#clockOffsetMs());
    void this.#limiter.schedule(() => this.#release());
    this.#watch();
  }

  #watch(): void {
    const { groupMs } = this.#options;
    this.#watchdog = setTimeout(() => {
      if (this.#clockOffsetMs() > this.#offsetMs - SET_BACK_MS) {
        this.#watch();
        return;
      }
      stopLimiter(this.#limiter);
      this.#limiter = newLimiter(groupMs);
      this.#offsetMs = Number.NEGATIVE_INFINITY;
      this.#schedule();
    }, groupMs + LATE_MS);
  }

  #clockOffsetMs(): number {
    return Date.now() - this.#options.clock.now();
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
