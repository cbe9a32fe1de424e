import { backoffMs } from "../base/backoff.ts";

/** Waits between two checks of the watched transactions. */
const WAITS = { firstMs: 50, maxMs: 5_000 };

/** When the watched transactions are checked: soon after watching began, then less and less often. Times are milliseconds of one clock. */
export class CheckTimes {
  /** Checks since watching began, and when the last one ended. */
  #checks = 0;
  #checkedAt = 0;

  get next(): number {
    return this.#checkedAt + backoffMs(this.#checks, WAITS);
  }

  /** True where the next check is the first one. */
  get isFirst(): boolean {
    return this.#checks === 0;
  }

  /** There is something new to watch. */
  restart(now: number): void {
    this.#checks = 0;
    this.#checkedAt = now;
  }

  begins(): void {
    this.#checks++;
  }

  ended(now: number): void {
    this.#checkedAt = now;
  }
}
