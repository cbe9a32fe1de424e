import type { Clock } from "../base/clock.ts";
import { HostRates } from "./host-rates.ts";
import { openRateLimit, type Rate, type RateLimit } from "./rate.ts";

/** The rate of all requests, and what is called when one that was refused may try again: with its host where the host's own rate refused it. */
export interface RatesOptions {
  readonly perSecond: Rate;
  readonly onPermit: (host: string | null) => void;
  readonly clock: Clock;
}

/** P7: every rate of a daemon. */
export class Rates implements Disposable {
  readonly all: RateLimit;
  readonly hosts: HostRates;

  constructor({ perSecond, onPermit, clock }: RatesOptions) {
    this.all = openRateLimit({ perSecond, onPermit: () => onPermit(null), clock });
    this.hosts = new HostRates(clock, onPermit);
  }

  /** Counts the time until now as spent, for all and for each host: another daemon may have sent until now. */
  assumeSpent(): void {
    this.all.assumeSpent();
    this.hosts.assumeSpent();
  }

  [Symbol.dispose](): void {
    this.all[Symbol.dispose]();
    this.hosts[Symbol.dispose]();
  }
}
