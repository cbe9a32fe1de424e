import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import { isDecided, type Snapshot } from "../pg/snapshot.ts";
import { currentSnapshot } from "../outbox/sweep.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";
import type { Pending } from "./backlog.ts";

const WAITS = { firstMs: 50, maxMs: 1_000 };

interface AwaitingVisibilityOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  /** Their transactions are visible now, or lost. */
  readonly visible: (items: readonly Pending[]) => void;
}

/**
 * The rule awaitVisibility: a commit may be streamed, sent and answered before it is visible to others, for as long as it
 * waits for a synchronous standby. Such completions wait here, from `keep` until a snapshot sees their transaction, or never will.
 *
 * - *asleep*: nothing waits. Until `keep`.
 * - *looking*: a snapshot is read periodically, less often with each. Until nothing waits.
 */
export class AwaitingVisibility {
  readonly #options: AwaitingVisibilityOptions;
  readonly #failures: FailureLog;
  readonly #items = new Set<Pending>();
  readonly #kept = new AutoResetEvent();

  constructor(options: AwaitingVisibilityOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.log, {
      failed: "whether results may be stored yet could not be read; trying again",
      succeeded: "whether results may be stored yet is read again",
    });
  }

  keep(item: Pending): void {
    this.#items.add(item);
    this.#kept.notify();
  }

  /** Looks until `signal` fires. P8: without anything to look for it sleeps until there is. */
  readonly run: Loop = async (signal) => {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#kept.wait(null, clock, signal);
      for (let looks = 0; this.#items.size > 0 && !signal.aborted; looks += 1) {
        await clock.sleep(backoffMs(looks, WAITS), signal);
        if (!signal.aborted) await this.#look();
      }
    }
  };

  async #look(): Promise<void> {
    let snapshot: Snapshot;
    try {
      snapshot = await currentSnapshot(this.#options.db);
      this.#failures.succeeded();
    } catch (error) {
      this.#failures.failed(error);
      return;
    }
    const decided = [...this.#items].filter(({ insertedBy }) => insertedBy === null || isDecided(snapshot, insertedBy));
    for (const item of decided) this.#items.delete(item);
    this.#options.visible(decided);
  }
}
