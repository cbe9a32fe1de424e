import type { Clock } from "../base/clock.ts";
import { openRateLimit, type RateLimit } from "./rate.ts";

/** P7: the rates of single hosts; a host without one is not limited by itself. */
export class HostRates implements Disposable {
  readonly #clock: Clock;
  readonly #onPermit: (host: string) => void;
  readonly #rates = new Map<string, RateLimit>();

  /** `onPermit` is called when a refused request to the host may try again. */
  constructor(clock: Clock, onPermit: (host: string) => void) {
    this.#clock = clock;
    this.#onPermit = onPermit;
  }

  of(host: string): RateLimit | null {
    return this.#rates.get(host) ?? null;
  }

  /** The rates from now on, per second, by host. Starts so far count for hosts that had a rate before. */
  configure(perSecond: ReadonlyMap<string, number>): void {
    for (const [host, rate] of this.#rates) {
      if (perSecond.has(host)) continue;
      rate[Symbol.dispose]();
      this.#rates.delete(host);
    }
    for (const [host, rate] of perSecond) {
      const known = this.#rates.get(host);
      if (known !== undefined) known.setRate(rate);
      else
        this.#rates.set(
          host,
          openRateLimit({ perSecond: rate, onPermit: () => this.#onPermit(host), clock: this.#clock }),
        );
    }
  }

  /** Counts the time until now as spent, as `RateLimit.assumeSpent` does. */
  assumeSpent(): void {
    for (const rate of this.#rates.values()) rate.assumeSpent();
  }

  [Symbol.dispose](): void {
    this.configure(new Map());
  }
}
