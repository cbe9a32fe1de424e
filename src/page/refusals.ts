import type { Log } from "../base/log.ts";

/** Refusals are logged at most this often, in milliseconds: whoever reaches the port may try at any rate. */
const EVERY_MS = 60_000;

/** Records in the log who was refused. */
export class Refusals {
  readonly #log: Log;
  readonly #message: string;
  readonly #now: () => number;
  #notBefore = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(log: Log, message: string, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#message = message;
    this.#now = now;
  }

  /** One refused to the address `from`; `count` in the line has those since the line before. */
  refused(from: string, reason: string): void {
    this.#count++;
    const now = this.#now();
    if (now < this.#notBefore) return;
    this.#log.warn({ from, reason, count: this.#count }, this.#message);
    this.#notBefore = now + EVERY_MS;
    this.#count = 0;
  }
}
