import { backoffMs } from "../base/backoff.ts";
import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { FailureLog } from "../pg/failure-log.ts";
import { databaseHint } from "../pg/pooler.ts";
import { causeOf } from "../pg/sqlstate.ts";

/** Between two tries. */
const RETRY = { firstMs: 50, maxMs: 5_000 };

/** From so many sweeps that failed in a row on, somebody has to look. */
const UNREAD_FROM = 3;

/** Sweeps that failed in a row. */
export class SweepFailures {
  readonly #log: FailureLog;
  #count = 0;
  #last: unknown = null;

  constructor(log: Log) {
    this.#log = new FailureLog(log, {
      failed: "the outbox could not be read; trying again",
      succeeded: "the outbox is read again",
    });
  }

  /** Why the outbox cannot be read, where that failed several times in a row; else null. */
  get unread(): string | null {
    if (this.#count < UNREAD_FROM) return null;
    const why = `${toError(this.#last).message} (${causeOf(this.#last)})`;
    const hint = databaseHint(this.#last);
    return `the outbox could not be read ${this.#count} times in a row: ${why}${hint === undefined ? "" : `. ${hint}`}`;
  }

  succeeded(): void {
    this.#count = 0;
    this.#log.succeeded();
  }

  /** Returns the milliseconds until the next try. */
  failed(error: unknown): number {
    this.#log.failed(error);
    this.#last = error;
    this.#count++;
    return backoffMs(this.#count - 1, RETRY);
  }
}
