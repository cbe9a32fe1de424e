import { StartWindow } from "./start-window.ts";

/** The pace stays this much below the limit, so that jitter on the way does not show a destination more than it. */
const PACE = 0.995;
/** The hard window is this much longer than a second, for the same reason. */
const GUARD_MS = 5;
/** Permits that went unused for so long may be used late, so that a late timer costs no rate. */
const BANK_MS = 20;
/** Of these, so many are kept for who seldom asks; whole ones, so at 200 per second one. */
const KEPT_MS = 5;
/** Permits are handed out in groups about this far apart where somebody waits for them. */
const TICK_MS = 10;

/**
 * P7 for one rate, without timers: permits accrue evenly, few are banked, and a window over the real starts bounds
 * them hard. Rates that are no whole number are held over the shortest time in which whole starts fit: 1.5 per second
 * is 2 in 1,333 ms.
 */
export class Allowance {
  /** The time in which one group of permits accrues, in milliseconds. */
  readonly groupMs: number;
  /** Permits that are to be left by whoever could take all that accrue. */
  readonly kept: number;
  readonly #permitsPerMs: number;
  readonly #bank: number;
  readonly #bounds: { readonly max: number; readonly spanMs: number };
  #window: StartWindow;
  #permits = 1;
  #accruedAt: number;

  /** Without `past`, the time before `now` counts as spent at the full rate. */
  constructor(perSecond: number, now: number, past?: Allowance) {
    if (!(perSecond > 0 && Number.isFinite(perSecond))) throw new RangeError(`not a rate: ${perSecond}`);
    this.#permitsPerMs = (perSecond * PACE) / 1_000;
    this.#bank = (BANK_MS * perSecond) / 1_000;
    this.kept = Math.floor((KEPT_MS * perSecond) / 1_000);
    this.groupMs = Math.ceil(TICK_MS * this.#permitsPerMs) / this.#permitsPerMs;
    this.#accruedAt = now;
    const max = Math.ceil(perSecond);
    const spanMs = (max / perSecond) * 1_000 + GUARD_MS;
    this.#bounds = { max, spanMs };
    if (past === undefined) {
      this.#window = this.#afterFullRate(now);
    } else {
      past.#accrue(now);
      this.#permits = Math.min(past.#permits, 1 + this.#bank);
      this.#window = past.#window.resized(max, spanMs);
    }
  }

  /** Milliseconds until one start is allowed that leaves `left` permits; 0 when it is now. */
  waitMs(now: number, left = 0): number {
    this.#accrue(now);
    const paceMs = (1 + left - this.#permits) / this.#permitsPerMs;
    return Math.max(0, paceMs, this.#window.freeAt(left) - now);
  }

  /** Records one start, allowed by `waitMs` at the same `now`. */
  start(now: number): void {
    this.#permits -= 1;
    this.#window.add(now);
  }

  /** Counts the time before `now` as spent at the full rate, on top of what is known. */
  assumeSpent(now: number): void {
    this.#window = this.#window.combinedWith(this.#afterFullRate(now));
  }

  #afterFullRate(now: number): StartWindow {
    return StartWindow.afterFullRate({ ...this.#bounds, now, heldBack: this.#bank });
  }

  #accrue(now: number): void {
    const accrued = (now - this.#accruedAt) * this.#permitsPerMs;
    this.#permits = Math.min(1 + this.#bank, this.#permits + accrued);
    this.#accruedAt = now;
  }
}
