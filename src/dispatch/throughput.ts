/** Measured over so long, in milliseconds. */
const WINDOW_MS = 1_000;
/** Before a whole window a first measure may serve from here on, in milliseconds: longer than most answers take. */
const FIRST_MS = 300;
/** What was measured is forgotten when everything was taken at once for so long, in milliseconds. */
const FORGET_MS = 5_000;

/** What a host takes, in requests per second. */
export interface Measure {
  readonly perSecond: number;
  /** Measured over a whole window. */
  readonly sure: boolean;
}

/**
 * How many requests to one host end in a second while more of them wait than it takes: only that shows what it can do.
 */
export class Throughput {
  #since: number | null = null;
  #ended = 0;
  #known: number | null = null;
  #relaxedAt = 0;

  /** True while requests wait that could not be started. */
  get isLimited(): boolean {
    return this.#since !== null;
  }

  /** A waiting request could not be started. */
  limited(now: number): void {
    this.#since ??= now;
  }

  /** Nothing waits any more. */
  relaxed(now: number): void {
    if (this.#since === null) return;
    this.#since = null;
    this.#ended = 0;
    this.#relaxedAt = now;
  }

  /** One request ended. */
  end(): void {
    if (this.#since !== null) this.#ended++;
  }

  /** What is known now; null where nothing is. */
  measure(now: number): Measure | null {
    if (this.#since === null) {
      if (now - this.#relaxedAt > FORGET_MS) this.#known = null;
    } else {
      const elapsedMs = now - this.#since;
      const perSecond = (this.#ended * 1_000) / elapsedMs;
      if (elapsedMs >= WINDOW_MS) {
        this.#known = perSecond;
        this.#since = now;
        this.#ended = 0;
      } else if (this.#known === null) {
        return elapsedMs < FIRST_MS ? null : { perSecond, sure: false };
      }
    }
    // A host that recovers shows it before the window is over.
    return this.#known === null ? null : { perSecond: Math.max(this.#known, this.#ended), sure: true };
  }
}
