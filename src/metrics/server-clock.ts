/** A difference that was measured longer ago may no longer hold, in milliseconds. */
const FORGOTTEN_MS = 60_000;

/**
 * The clock of the database, from what it says of it. What is heard was written some time ago, so of several differences to
 * the clock here the largest is the best. Until something is heard the two are taken to be equal.
 */
export class ServerClock {
  readonly #local: () => number;
  #aheadMs: number | null = null;
  #measuredAt = 0;

  constructor(local: () => number = Date.now) {
    this.#local = local;
  }

  /** The database's clock was `ms` when it wrote what is read now. */
  heard(ms: number): void {
    const now = this.#local();
    const aheadMs = ms - now;
    if (this.#aheadMs !== null && aheadMs < this.#aheadMs && now - this.#measuredAt < FORGOTTEN_MS) return;
    this.#aheadMs = aheadMs;
    this.#measuredAt = now;
  }

  /** Milliseconds since 1970, by the database's clock. */
  now(): number {
    return this.#local() + (this.#aheadMs ?? 0);
  }
}
