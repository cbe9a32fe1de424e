import type { Clock } from "./clock.ts";

/** What is done, and the least time between two runs. */
export interface CoalescedOptions {
  /** Does not reject. */
  readonly act: () => Promise<void> | void;
  /** From the beginning of one to that of the next, in milliseconds. */
  readonly everyMs: number;
  readonly clock: Clock;
  /** When it fires nothing more is done. */
  readonly signal: AbortSignal;
}

/** Does something for whoever asks: at once, or where it was done lately, once for all who ask until its time has come. */
export class Coalesced {
  readonly #options: CoalescedOptions;
  #notBefore = Number.NEGATIVE_INFINITY;
  #isPlanned = false;
  #done: Promise<void> | void = undefined;

  constructor(options: CoalescedOptions) {
    this.#options = options;
  }

  /** Costs next to nothing while one is planned. What was asked for after `act` began is done once more. */
  ask(): void {
    if (this.#isPlanned || this.#options.signal.aborted) return;
    this.#isPlanned = true;
    void this.#plan();
  }

  async #plan(): Promise<void> {
    const { act, everyMs, clock, signal } = this.#options;
    await this.#done;
    const waitMs = this.#notBefore - clock.now();
    if (waitMs > 0) await clock.sleep(waitMs, signal);
    this.#isPlanned = false;
    if (signal.aborted) return;
    this.#notBefore = clock.now() + everyMs;
    this.#done = act();
  }
}
