import { backoffMs } from "../base/backoff.ts";
import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import type { Queryable } from "../pg/pool.ts";
import type { Pending } from "./backlog.ts";
import { lockedStatement } from "./statements.ts";

const WAITS = { firstMs: 50, maxMs: 1_000 };
/** Rows checked in one statement. */
const MOST_ROWS = 1_000;
/** A row that is locked for so long is reported, in milliseconds. */
const LONG_MS = 10_000;
/** A row that was free so often, and could not be taken, is tried less often. */
const MOST_FREED = 5;
/** Such rows are reported at most this often, in milliseconds. */
const REPORT_EVERY_MS = 60_000;

const KEPT_HINT =
  "A trigger or a rule on net.http_request_queue keeps them: a trigger before delete must return old, and one before update new. Their requests were sent; mend it before a restart, which would send them again.";

interface LockedOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  /** Their rows are not locked any more, or not there. */
  readonly free: (items: readonly Pending[]) => void;
  /** Its row is free again and again, and stays where it is: to be tried less often. */
  readonly stuck: (item: Pending) => void;
}

interface Lock {
  readonly since: number;
  looks: number;
  dueAt: number;
}

/**
 * Completions whose row is locked by another session, for as long as its transaction takes. They are checked periodically, without
 * what they hold: an answer is not sent to the database again and again for a row that nobody may delete.
 *
 * - *asleep*: nothing is kept. Until `keep`.
 * - *checking*: what is due is checked, each completion less often with each check. Until nothing is kept.
 */
export class Locked {
  readonly #options: LockedOptions;
  readonly #locks = new Map<Pending, Lock>();
  readonly #kept = new AutoResetEvent();
  /** That rows are locked for long was reported, and not yet that none is. */
  #isReported = false;
  #stuckReportedAt = Number.NEGATIVE_INFINITY;

  constructor(options: LockedOptions) {
    this.#options = options;
  }

  keep(item: Pending): void {
    const since = this.#options.clock.now();
    if (item.freed >= MOST_FREED) {
      item.freed = 0;
      this.#reportStuck(since);
      this.#options.stuck(item);
      return;
    }
    this.#locks.set(item, { since, looks: 0, dueAt: since + backoffMs(0, WAITS) });
    this.#kept.notify();
  }

  /** Looks until `signal` fires. P8: without anything to look at it sleeps until there is. */
  readonly run: Loop = async (signal) => {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#kept.wait(null, clock, signal);
      while (this.#locks.size > 0 && !signal.aborted) {
        await clock.sleep(WAITS.firstMs, signal);
        const due = this.#due(clock.now());
        if (due.length > 0 && !signal.aborted) await this.#look(due);
        this.#report(clock.now());
      }
    }
  };

  #due(now: number): readonly Pending[] {
    const due: Pending[] = [];
    for (const [item, { dueAt }] of this.#locks) {
      if (due.length >= MOST_ROWS) break;
      if (dueAt <= now) due.push(item);
    }
    return due;
  }

  async #look(due: readonly Pending[]): Promise<void> {
    const { db, clock, free } = this.#options;
    let locked: ReadonlySet<string>;
    try {
      const { rows } = await db.query<{ id: string }>(lockedStatement(due));
      locked = new Set(rows.map(({ id }) => id));
    } catch {
      locked = new Set(due.map(({ completion }) => String(completion.request.id))); // A database that is gone fails the writes, which say so.
    }
    const now = clock.now();
    const ended: Pending[] = [];
    for (const item of due) {
      const lock = this.#locks.get(item);
      if (lock === undefined) continue;
      // Those checked go behind the others.
      this.#locks.delete(item);
      if (!locked.has(String(item.completion.request.id))) ended.push(item);
      else {
        lock.looks += 1;
        lock.dueAt = now + backoffMs(lock.looks, WAITS);
        this.#locks.set(item, lock);
      }
    }
    free(ended);
  }

  #reportStuck(now: number): void {
    if (now - this.#stuckReportedAt < REPORT_EVERY_MS) return;
    this.#stuckReportedAt = now;
    this.#options.log.warn(
      { hint: KEPT_HINT },
      "answers cannot be stored: nobody locks their rows, and they stay in the outbox",
    );
  }

  /** Once while any row is locked for long, and once when none is. */
  #report(now: number): void {
    const { log } = this.#options;
    const isLong = [...this.#locks.values()].some(({ since }) => now - since >= LONG_MS);
    if (isLong === this.#isReported) return;
    this.#isReported = isLong;
    const hint =
      "Some session holds locks on rows of net.http_request_queue: see pg_stat_activity for old transactions.";
    if (isLong) log.warn({ rows: this.#locks.size, hint }, "answers wait for rows that are locked by others");
    else log.info({}, "answers wait for locked rows no longer");
  }
}
