import type { Clock } from "../base/clock.ts";
import type { Queryable } from "../pg/pool.ts";
import { type DatabaseStatus, readDatabaseStatus } from "./database-status.ts";

/** A look is not repeated sooner than this, in milliseconds, however often somebody asks. */
const LOOK_EVERY_MS = 5_000;

/** The database's view of slot and outbox, looked at only when somebody asks for the health (P8). */
export class SlotWatch {
  readonly #db: Queryable;
  readonly #slotName: string | null;
  readonly #clock: Clock;
  #lookedAt: number | null = null;
  #last: DatabaseStatus | null = null;

  constructor(db: Queryable, slotName: string | null, clock: Clock) {
    this.#db = db;
    this.#slotName = slotName;
    this.#clock = clock;
  }

  /** What the last look saw; null before the first, and after one that failed. */
  get last(): DatabaseStatus | null {
    return this.#last;
  }

  /** Starts a look where the last one is old; `last` has what it saw when it is done. */
  look(): void {
    const now = this.#clock.now();
    if (this.#lookedAt !== null && now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    readDatabaseStatus(this.#db, this.#slotName).then(
      (status) => (this.#last = status),
      () => (this.#last = null),
    );
  }
}
