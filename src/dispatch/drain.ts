/** A drain is measured over so long, in milliseconds; what would not be taken in that time need not wait in memory. */
export const DRAIN_WINDOW_MS = 1_000;

/**
 * How fast requests end while more of them wait than can be started. While none wait nothing is known, and nothing
 * needs to be.
 */
export class Drain {
  #since: number | null = null;
  #ended = 0;
  #perWindow = Infinity;

  /** Called when a waiting request could not be started. */
  limited(now: number): void {
    if (this.#since !== null) return;
    this.#since = now;
    this.#ended = 0;
  }

  /** Called when nothing waits any more. */
  relaxed(): void {
    this.#since = null;
    this.#perWindow = Infinity;
  }

  /** One request ended. */
  end(): void {
    this.#ended++;
  }

  /** Requests expected to end within the window; Infinity while that is not known. */
  capacity(now: number): number {
    if (this.#since !== null && now - this.#since >= DRAIN_WINDOW_MS) {
      this.#perWindow = (this.#ended * DRAIN_WINDOW_MS) / (now - this.#since);
      this.#since = now;
      this.#ended = 0;
    }
    return this.#perWindow;
  }
}
