import type { Log } from "../base/log.ts";

/** Refused actions are logged at most this often, in milliseconds: whoever reaches the port may try at any rate. */
const EVERY_MS = 60_000;

/** Records refused actions in the log. */
export class Refusals {
  readonly #log: Log;
  readonly #now: () => number;
  #notBefore = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /** One asked for by the address `from`; `count` in the line has those since the line before. */
  refused(from: string, reason: string): void {
    this.#count++;
    const now = this.#now();
    if (now < this.#notBefore) return;
    this.#log.warn({ from, reason, count: this.#count }, "the page: an action was refused");
    this.#notBefore = now + EVERY_MS;
    this.#count = 0;
  }
}
