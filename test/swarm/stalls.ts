import { now } from "./journal.ts";
import type { Stall } from "./limits.ts";

const EVERY_MS = 20;
/** A turn of the event loop that is later than this counts as a stall, in milliseconds. */
const LATE_MS = 150;

/** Notes when this process stood still, since what it sees come then comes together. */
export class StallWatch implements Disposable {
  readonly stalls: Stall[] = [];
  readonly #timer: NodeJS.Timeout;
  #last = now();

  constructor() {
    this.#timer = setInterval(() => {
      const at = now();
      if (at - this.#last > EVERY_MS + LATE_MS) this.stalls.push({ from: this.#last, until: at });
      this.#last = at;
    }, EVERY_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
