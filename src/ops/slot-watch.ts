import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";
import { type DatabaseStatus, readDatabaseStatus } from "./database-status.ts";

/** The database is not read again sooner than this, in milliseconds, however often somebody asks. */
const LOOK_EVERY_MS = 5_000;

/** Probes come for ever: a reading must leave the pool's connections to what sends, whatever is locked and however many rows there are. */
const BOUNDS = { countMost: 1_000, timeoutMs: 2_000 } as const;

/** What the watch needs. */
export interface SlotWatchOptions {
  readonly db: Queryable;
  /** Null is the default one. */
  readonly slotName: string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** The database's view of slot and outbox, read only when somebody asks for the health (P8). */
export class SlotWatch {
  readonly #options: SlotWatchOptions;
  readonly #failures: FailureLog;
  #lookedAt: number | null = null;
  #isReading = false;
  #last: DatabaseStatus | null = null;

  constructor(options: SlotWatchOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.log, {
      failed: "the state of slot and outbox could not be read",
      succeeded: "the state of slot and outbox is read again",
    });
  }

  /** What was read last; null before the first time, and after a failure. */
  get last(): DatabaseStatus | null {
    return this.#last;
  }

  /** Reads again where the last reading is old and has ended; `last` has the result when it is there. */
  look(): void {
    if (this.#isReading) return;
    const { db, slotName, clock } = this.#options;
    const now = clock.now();
    if (this.#lookedAt !== null && now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    this.#isReading = true;
    readDatabaseStatus(db, slotName, BOUNDS).then(
      (status) => {
        this.#isReading = false;
        this.#last = status;
        this.#failures.succeeded();
      },
      (error: unknown) => {
        this.#isReading = false;
        this.#last = null;
        this.#failures.failed(error);
      },
    );
  }
}
