import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";

/**
 * Any role may ask for restarts, and each ends what is in flight: so between two of them lies at least this time, in
 * milliseconds, which leaves requests of the usual length time to end.
 */
const EVERY_MS = 60_000;

/** Restarts as they are asked for: the first at once, further ones together when their time has come. */
export class Restarts {
  readonly #clock: Clock;
  readonly #log: Log;
  #notBefore = Number.NEGATIVE_INFINITY;
  #planned = false;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Calls `restart`, now or later, unless `signal` fires first. */
  ask(restart: () => void, signal: AbortSignal): void {
    if (this.#planned || signal.aborted) return;
    const waitMs = this.#notBefore - this.#clock.now();
    if (waitMs <= 0) {
      this.#act(restart);
      return;
    }
    this.#planned = true;
    this.#log.info({ afterMs: Math.round(waitMs) }, "a restart was asked for again so soon that it has to wait");
    void this.#clock.sleep(waitMs, signal).then(() => {
      this.#planned = false;
      if (!signal.aborted) this.#act(restart);
    });
  }

  #act(restart: () => void): void {
    this.#notBefore = this.#clock.now() + EVERY_MS;
    restart();
  }
}
