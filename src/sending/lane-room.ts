/** A lane keeps at least this many requests, however slowly they start. */
const LEAST = 16;
/** And as many as start in twice this time, in milliseconds, so that a request that its owner cancels is not sent long after. */
const WINDOW_MS = 1_000;

/** How many requests of one lane wait in memory at most: what starts in about a second, while more wait than start. */
export class LaneRoom {
  readonly #most: number;
  #since: number;
  #started = 0;
  #room: number;

  /** Opened when the first request waits; dropped when none does. */
  constructor(most: number, now: number) {
    this.#most = most;
    this.#room = most;
    this.#since = now;
  }

  started(): void {
    this.#started++;
  }

  at(now: number): number {
    const elapsedMs = now - this.#since;
    if (elapsedMs >= WINDOW_MS) {
      const inWindow = (this.#started * WINDOW_MS) / elapsedMs;
      this.#room = Math.min(this.#most, Math.max(LEAST, Math.ceil(inWindow * 2)));
      this.#since = now;
      this.#started = 0;
    }
    return this.#room;
  }
}
