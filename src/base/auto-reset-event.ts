import type { Clock } from "./clock.ts";

/** Why a wait ends early: given, since an abort without a reason makes an error with a stack. */
const NOTIFIED = Symbol("notified");

/** What a loop waits for and others notify of: a notification before the wait is not lost, several count as one. */
export class AutoResetEvent {
  #notified = false;
  #open: (() => void) | null = null;

  /** Lets the waiting loop go on, now or at its next wait. */
  notify(): void {
    this.#notified = true;
    this.#open?.();
  }

  /**
   * Resolves at the next notification, after `ms` (null waits without end), or when `signal` fires, whichever is first; to true
   * where somebody notified.
   */
  async wait(ms: number | null, clock: Clock, signal: AbortSignal): Promise<boolean> {
    if (!this.#notified && !signal.aborted) {
      await (ms === null ? this.#idle(signal) : this.#sleep(ms, clock, signal));
    }
    const notified = this.#notified;
    this.#notified = false;
    return notified;
  }

  #idle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener("abort", end);
        this.#open = null;
        resolve();
      };
      this.#open = end;
      signal.addEventListener("abort", end, { once: true });
    });
  }

  /** Not with `AbortSignal.any`, which costs more than all the rest of a wait. */
  async #sleep(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const end = (): void => ended.abort(NOTIFIED);
    this.#open = end;
    signal.addEventListener("abort", end, { once: true });
    try {
      await clock.sleep(ms, ended.signal);
    } finally {
      signal.removeEventListener("abort", end);
      this.#open = null;
    }
  }
}
