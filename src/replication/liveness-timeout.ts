import { type Lsn, ZERO_LSN } from "../pg/lsn.ts";

/** The timeout grows up to this many times the first. */
const MOST_TIMES = 32;

/**
 * How long a session may be silent. A server that works on one very large row says nothing meanwhile, and would start
 * with it again in each session: the next one is given twice the time, until it has come further.
 */
export class LivenessTimeout {
  readonly #firstMs: number;
  #stuckAt = ZERO_LSN;
  #times = 1;

  constructor(firstMs: number) {
    this.#firstMs = firstMs;
  }

  /** The longest silence of a session that has received as far as `received`, in milliseconds. */
  ms(received: Lsn): number {
    return this.#firstMs * (received > this.#stuckAt ? 1 : this.#times);
  }

  /** A session ended in silence, having received as far as `received`. */
  lost(received: Lsn): void {
    this.#times = received > this.#stuckAt ? 2 : Math.min(this.#times * 2, MOST_TIMES);
    this.#stuckAt = received;
  }
}
