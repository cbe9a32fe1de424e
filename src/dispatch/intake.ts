import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Wake } from "../base/wake.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { Inserter, Snapshot } from "../outbox/snapshot.ts";
import type { SweepPlan, SweepResult } from "../outbox/sweep.ts";
import { FailureLog } from "../pg/failure-log.ts";
import { causeOf } from "../pg/sqlstate.ts";
import type { Begin } from "../wal/events.ts";
import type { Xid } from "../wal/xid.ts";
import type { Phase, PhaseEvent } from "./phase.ts";
import { nextStep, type ScheduleState } from "./schedule.ts";
import { Seam } from "./seam.ts";
import type { Sender } from "./sender.ts";

/** What the intake asks of its neighbours. */
export interface IntakeParts {
  readonly outbox: {
    sweep(plan: SweepPlan): Promise<SweepResult>;
    snapshot(): Promise<Snapshot>;
  };
  readonly sender: Pick<Sender, "take" | "room" | "fits" | "holds" | "knownIds" | "capacity">;
  readonly clock: Clock;
  readonly log: Log;
  readonly phase: () => Phase;
  /** Told when rows were dropped for want of memory, and when a sweep was the last. */
  readonly moved: (event: Extract<PhaseEvent, "overflowed" | "swept">) => void;
  /** Called when rows were taken. */
  readonly taken: () => void;
  /** Called when everything that was watched is visible. */
  readonly visible: () => void;
}

/** Waits between two looks at the watched transactions, and between two tries of a failed sweep. */
const LOOK = { firstMs: 50, maxMs: 5_000 };
const SWEEP_RETRY = { firstMs: 50, maxMs: 5_000 };

/** From so many sweeps that failed in a row on, somebody has to look. */
const UNREAD_FROM = 3;

/** An empty sweep that was not the last is rare; without a pause it could spin. */
const EMPTY_PAUSE_MS = 5;

/**
 * Brings rows to the sender, from the stream and from sweeps. Which of the two brings a row is the seam's decision, and
 * when the outbox is read the schedule's; here they are carried out.
 */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #seam = new Seam<OutboxRow>();
  readonly #wake = new Wake();
  #swept = false;
  #sweptAt = 0;
  #notBefore = 0;
  #failures = 0;
  #failure: unknown = null;
  readonly #sweepLog: FailureLog;
  readonly #lookLog: FailureLog;
  #dueAt: number | null = null;
  #asked = false;
  #looks = 0;
  #lookedAt = 0;
  /** Changes with each cut, so that a sweep from before it is not taken for one after it. */
  #epoch = 0;
  #history = new AbortController();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#sweepLog = new FailureLog(parts.log, {
      failed: "the outbox could not be read; trying again",
      succeeded: "the outbox is read again",
    });
    this.#lookLog = new FailureLog(parts.log, {
      failed: "transactions in progress could not be looked at; trying again",
      succeeded: "transactions in progress are looked at again",
    });
  }

  /** Why the outbox cannot be read, where that failed several times in a row; else null. */
  get unread(): string | null {
    if (this.#failures < UNREAD_FROM) return null;
    const why = `${toError(this.#failure).message} (${causeOf(this.#failure)})`;
    return `the outbox could not be read ${this.#failures} times in a row: ${why}`;
  }

  // The stream.

  begin(transaction: Begin): void {
    this.#seam.begin(transaction);
  }

  /** `read` parses the row; it is not called where the row is dropped in any case. */
  row(read: () => OutboxRow): void {
    if (this.#seam.dropsAll) this.#seam.skip();
    else this.#streamed(read());
  }

  commit(): void {
    this.#seam.commit();
  }

  #streamed(row: OutboxRow): void {
    if (row.nextAttemptAt !== null) {
      this.watch();
      return;
    }
    const { sender, moved, taken } = this.#parts;
    const { bytes } = row.request;
    switch (this.#seam.row(row, bytes, sender.fits(bytes, this.#seam))) {
      case "take":
        sender.take(row, this.#inserter(this.#seam.xid));
        taken();
        break;
      case "overflow":
        moved("overflowed");
        this.#wake.knock();
        break;
      case "aside":
      case "drop":
        break;
    }
  }

  /** The transaction that began last did something that only a sweep, or another reading, can see: that is done when it is visible. */
  watch(): void {
    const isSoon = this.#seam.watching && this.#looks === 0;
    if (!this.#seam.later()) this.#parts.moved("overflowed");
    if (!isSoon) this.#startLooking(this.#parts.clock.now());
    this.#wake.knock();
  }

  #inserter(xid: Xid | null): Inserter | null {
    return xid === null ? null : { xid, history: this.#history.signal };
  }

  // The outbox.

  /** The connection is gone, or made: the outbox is read from the lowest id. */
  cut(sameHistory: boolean): void {
    this.#epoch++;
    if (!sameHistory) {
      this.#history.abort();
      this.#history = new AbortController();
    }
    this.#seam.cut(sameHistory);
    this.#swept = false;
    this.#dueAt = null;
    this.#notBefore = 0;
    this.#wake.knock();
  }

  /** Reads the outbox once more as soon as there is room. */
  ask(): void {
    this.#asked = true;
    this.#wake.knock();
  }

  /** A parked row is due in `ms`. */
  dueIn(ms: number): void {
    const at = this.#parts.clock.now() + ms;
    if (this.#dueAt !== null && at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#wake.knock();
  }

  /** Wakes the reader where it has a next step; while it would wait without end it is left asleep. */
  changed(): void {
    const step = nextStep(this.#schedule());
    if (step.kind !== "wait" || step.ms !== null) this.#wake.knock();
  }

  /** Reads the outbox when there is reason to, until `signal` fires. */
  async read(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const step = nextStep(this.#schedule());
      switch (step.kind) {
        case "sweep":
          await this.#sweep();
          break;
        case "look":
          await this.#look();
          break;
        case "wait":
          await this.#wake.wait(step.ms, this.#parts.clock, signal);
          break;
      }
    }
  }

  #schedule(): ScheduleState {
    const { sender, clock, phase } = this.#parts;
    const lookAt = this.#lookedAt + backoffMs(this.#looks, LOOK);
    return {
      phase: phase(),
      now: clock.now(),
      room: sender.room(this.#seam).requests,
      capacity: sender.capacity,
      swept: this.#swept,
      sweptAt: this.#sweptAt,
      notBefore: this.#notBefore,
      dueAt: this.#dueAt,
      asked: this.#asked,
      lookAt: this.#seam.watching && phase() === "live" ? lookAt : null,
    };
  }

  async #sweep(): Promise<void> {
    const { sender, outbox, clock, moved } = this.#parts;
    const epoch = this.#epoch;
    const above = this.#seam.sweepStarts();
    const { requests, bytes } = sender.room(this.#seam);
    this.#asked = false;
    this.#dueAt = null;
    try {
      const found = await outbox.sweep({ above, rows: requests, bytes, known: sender.knownIds });
      this.#failures = 0;
      this.#sweepLog.succeeded();
      if (epoch === this.#epoch) this.#found(found);
    } catch (error) {
      this.#failed(error);
      if (epoch === this.#epoch) this.#seam.sweepFailed();
      if (!this.#seam.live) moved("overflowed");
    }
    this.#sweptAt = clock.now();
  }

  #found(found: SweepResult): void {
    const { sender, clock, moved, taken, visible } = this.#parts;
    const wasLive = this.#seam.live;
    // P5: the sweep was planned before its rows had company.
    const all = found.all && sender.holds(found.rows, this.#seam);
    const { last, taken: streamed } = this.#seam.sweepReturned({ ...found, all });
    for (const row of found.rows) sender.take(row, null);
    for (const { row, xid } of streamed) sender.take(row, this.#inserter(xid));
    const now = clock.now();
    this.#swept = last;
    this.#notBefore = found.rows.length === 0 ? now + EMPTY_PAUSE_MS : 0;
    if (found.nextDueMs !== null) this.dueIn(found.nextDueMs);
    if (last && !wasLive) this.#startLooking(now);
    moved(last ? "swept" : "overflowed");
    taken();
    if (last && !this.#seam.watching) visible();
  }

  #failed(error: unknown): void {
    this.#sweepLog.failed(error);
    this.#notBefore = this.#parts.clock.now() + backoffMs(this.#failures, SWEEP_RETRY);
    this.#failures++;
    this.#failure = error;
    this.#asked = true;
  }

  async #look(): Promise<void> {
    const { outbox, clock } = this.#parts;
    const epoch = this.#epoch;
    this.#looks++;
    try {
      const snapshot = await outbox.snapshot();
      this.#lookLog.succeeded();
      if (epoch === this.#epoch && this.#seam.looked(snapshot)) this.ask();
    } catch (error) {
      this.#lookLog.failed(error);
    }
    this.#lookedAt = clock.now();
  }

  #startLooking(now: number): void {
    this.#looks = 0;
    this.#lookedAt = now;
  }
}
