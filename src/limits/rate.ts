import type { Clock } from "../base/clock.ts";
import { Allowance } from "./allowance.ts";
import { Pace } from "./pace.ts";

/** Starts per second, above 0; `unlimited` holds nothing back. */
export type Rate = number | "unlimited";

/** P7: says when the next request may start. */
export interface RateLimit extends Disposable {
  /** True when one request may start now, which counts as started. When false, `onPermit` follows as soon as one may. */
  tryTake(): boolean;
  /** As `tryTake`, without counting a start: for a caller that has other limits to ask, too. */
  isFree(): boolean;
  /** As `isFree`, with what is kept for who seldom asks left for them. */
  hasSpare(): boolean;
  /** Counts the time until now as spent at the full rate, as at opening: for when another daemon may have sent until now. */
  assumeSpent(): void;
  /** Takes effect at once; starts so far count under the new rate as well. */
  setRate(perSecond: Rate): void;
}

/** A rate, and what to call when a refused request may try again. */
export interface RateLimitOptions {
  readonly perSecond: Rate;
  /** Called at most once after one or more refusals, never from within `tryTake`; there may be permits for many then. */
  readonly onPermit: () => void;
  readonly clock: Clock;
}

/**
 * Opens a limit for the global rate or that of one host. It costs nothing while requests stay below the rate; a limiter
 * and a timer exist only since the first refusal.
 */
export function openRateLimit(options: RateLimitOptions): RateLimit {
  return new PacedRate(options);
}

class PacedRate implements RateLimit {
  readonly #clock: Clock;
  readonly #onPermit: () => void;
  #perSecond: Rate;
  #allowance: Allowance | null;
  #pace: Pace | undefined;
  #waiting = false;

  constructor({ perSecond, onPermit, clock }: RateLimitOptions) {
    this.#clock = clock;
    this.#onPermit = onPermit;
    this.#perSecond = perSecond;
    this.#allowance = perSecond === "unlimited" ? null : new Allowance(perSecond, clock.now());
  }

  tryTake(): boolean {
    if (!this.isFree()) return false;
    this.#allowance?.start(this.#clock.now());
    return true;
  }

  isFree(): boolean {
    return this.#leaves(0);
  }

  hasSpare(): boolean {
    return this.#leaves(this.#allowance?.kept ?? 0);
  }

  #leaves(kept: number): boolean {
    const allowance = this.#allowance;
    if (allowance === null || allowance.waitMs(this.#clock.now(), kept) === 0) return true;
    this.#waiting = true;
    this.#ask(allowance);
    return false;
  }

  assumeSpent(): void {
    this.#allowance?.assumeSpent(this.#clock.now());
  }

  setRate(perSecond: Rate): void {
    if (perSecond === this.#perSecond) return;
    const now = this.#clock.now();
    this.#allowance = perSecond === "unlimited" ? null : new Allowance(perSecond, now, this.#allowance ?? undefined);
    this.#perSecond = perSecond;
    this.#pace?.[Symbol.dispose]();
    this.#pace = undefined;
    if (!this.#waiting) return;
    if (this.#allowance === null) queueMicrotask(() => this.#release());
    else this.#ask(this.#allowance);
  }

  [Symbol.dispose](): void {
    this.#waiting = false;
    this.#pace?.[Symbol.dispose]();
  }

  #ask(allowance: Allowance): void {
    this.#pace ??= new Pace({
      groupMs: allowance.groupMs,
      waitMs: () => allowance.waitMs(this.#clock.now()),
      release: () => this.#release(),
      clock: this.#clock,
    });
    this.#pace.ask();
  }

  #release(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#onPermit();
    // Thousands of hosts may have a limit each: what one needs to wait (6 KB) goes when nobody does.
    if (!this.#waiting) this.#pace = undefined;
  }
}
