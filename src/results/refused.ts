import TinyQueue from "tinyqueue";

import { AutoResetEvent } from "../base/auto-reset-event.ts";
import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Loop } from "../base/loops.ts";
import type { Pending } from "./backlog.ts";

const WAITS = { firstMs: 5_000, maxMs: 60_000 };

interface RefusedOptions {
  readonly clock: Clock;
  /** Their wait is over: they are tried again. */
  readonly due: (items: readonly Pending[]) => void;
}

/**
 * Completions that the database refused together with the row that says so, or for a reason that may pass. Each *waits*, longer after each
 * try, until it is due.
 */
export class Refused {
  readonly #options: RefusedOptions;
  /** The one that is due first in front. */
  readonly #items = new TinyQueue<{ readonly item: Pending; readonly dueAt: number }>([], (a, b) => a.dueAt - b.dueAt);
  readonly #kept = new AutoResetEvent();

  constructor(options: RefusedOptions) {
    this.#options = options;
  }

  keep(item: Pending): void {
    this.#items.push({ item, dueAt: this.#options.clock.now() + backoffMs(item.refusals, WAITS) });
    item.refusals += 1;
    this.#kept.notify();
  }

  /** Gives back what is due until `signal` fires. P8: without anything that waits it sleeps until there is. */
  readonly run: Loop = async (signal) => {
    const { clock, due } = this.#options;
    while (!signal.aborted) {
      const first = this.#items.peek();
      await this.#kept.wait(first === undefined ? null : first.dueAt - clock.now(), clock, signal);
      if (!signal.aborted) due(this.#take(clock.now()));
    }
  };

  #take(now: number): readonly Pending[] {
    const due: Pending[] = [];
    for (let first = this.#items.peek(); first !== undefined && first.dueAt <= now; first = this.#items.peek()) {
      due.push(first.item);
      this.#items.pop();
    }
    return due;
  }
}
