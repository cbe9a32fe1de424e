import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Lane } from "../outbox/lane.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { Inserter } from "../pg/snapshot.ts";
import type { LaneCursor, SweepResult } from "../outbox/sweep.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Begin } from "../wal/events.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { Xid } from "../pg/xid.ts";
import { CheckTimes } from "./check-times.ts";
import { Handoff, type Streamed } from "./handoff.ts";
import type { IntakeParts } from "./parts.ts";
import { nextStep, type ScheduleState, type Sweeping, type SweepTime } from "./schedule.ts";
import { StreamStall } from "./stream-stall.ts";
import { SweepFailures } from "./sweep-failures.ts";
import { canBeNamed, planSweep } from "./sweep-plan.ts";
import type { SweptLanes } from "./swept-snapshots.ts";

/** After a sweep that brought nothing the next one comes no sooner than this, in milliseconds, and than so many times what it took. */
const EMPTY_PAUSE_MS = 5;
const EMPTY_PAUSE = 2;

const NEVER: SweepTime = { at: 0, ms: 0 };
const AT_ONCE: ScheduleState["notBefore"] = { every: 0, behind: 0, preferred: 0 };

/** Rows that did not fit are read again no sooner than this, in milliseconds. */
const REFUSED_PAUSE_MS = 100;

/** A lane that was given up is looked after again after this time, whatever else happens, in milliseconds. */
const GIVEN_UP_MS = 1_000;

/**
 * Brings rows to the sender, from the stream and from sweeps. Which of the two brings a row is the handoff's decision, and
 * when the outbox is read the schedule's; here they are carried out.
 *
 * `read` is in one of three modes, and `nextStep` chooses the next one when one ends:
 *
 * - *waiting*: until the time that `nextStep` says, or until something that it depends on changes (`#notified`).
 * - *sweeping*: until the outbox has answered. A `cut` meanwhile makes the answer one of an earlier epoch, which is dropped.
 * - *checking*: until a snapshot has been read, which says whether a watched transaction has ended.
 *
 * Rows of the stream come in any of them.
 */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #handoff: Handoff<OutboxRow>;
  /** Ends the wait of `read`. */
  readonly #notified = new AutoResetEvent();
  /** Where the next sweep of every lane begins; null is at the first one. */
  #from: LaneCursor | null = null;
  /** The last sweep of each kind. */
  readonly #swept: Record<Sweeping, SweepTime> = { every: NEVER, behind: NEVER, preferred: NEVER };
  /** No sweep of each kind before this: the last one failed, found nothing, or brought rows that did not fit. */
  #notBefore = AT_ONCE;
  readonly #failures: SweepFailures;
  readonly #checkLog: FailureLog;
  /** When the earliest deferred row is due; null without any. */
  #dueAt: number | null = null;
  /** When a lane is looked after that was given up; null without any. */
  #lookAt: number | null = null;
  /** Somebody asked for a sweep of every lane since the last one began. */
  #asked = false;
  /** A lane that is behind could take more. */
  #wanted = false;
  /** One of these is to be read soon. */
  #wantedSoon = false;
  #stall = new StreamStall();
  /** When the reader of the outbox has its next step. */
  #readsAt = 0;
  readonly #checks = new CheckTimes();
  /** Changes with each cut, so that a sweep from before it is not taken for one after it. */
  #epoch = 0;
  /** Fires when the history of the server is over, with a failover: its transactions are decided then. */
  #history = new AbortController();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#handoff = new Handoff(parts.sender);
    this.#failures = new SweepFailures(parts.log);
    this.#checkLog = new FailureLog(parts.log, {
      failed: "transactions in progress could not be read; trying again",
      succeeded: "transactions in progress are read again",
    });
  }

  /** Why the outbox cannot be read, where that failed several times in a row; else null. */
  get unread(): string | null {
    return this.#failures.unread;
  }

  isBehind(lane: Lane): boolean {
    return this.#handoff.behind.has(lane);
  }

  /** How many lanes are behind. */
  get lanesBehind(): number | "every" {
    return this.#handoff.behind.count;
  }

  // The stream.

  begin(transaction: Begin): void {
    this.#handoff.begin(transaction);
    this.#stall.begin(this.#parts.clock.now());
  }

  /** True where rows of `lane` of the transaction being received are dropped whatever is in them: `skip` does for `row`. */
  drops(lane: Lane): boolean {
    return this.#handoff.drops(lane);
  }

  /** A row came of a lane of which `drops` is true. */
  skip(): void {
    this.received();
    this.#handoff.skip();
  }

  /** Brings a row of the transaction being received. */
  row(row: OutboxRow): void {
    this.received();
    if (row.nextAttemptAt !== null) {
      this.watch();
      return;
    }
    const { sender, events } = this.#parts;
    const { lane, request } = row;
    if (sender.staysInOutbox(row)) {
      this.givenUp(lane);
      this.#handoff.skip();
      return;
    }
    switch (this.#handoff.row(row, lane, request.bytes)) {
      case "accept":
        sender.accept(row, this.#inserter(this.#handoff.xid));
        events.accepted();
        break;
      case "full":
        this.low(lane);
        break;
      case "buffer":
      case "drop":
        break;
    }
  }

  /** Something of the stream came, rows or anything else. */
  received(): void {
    if (this.#stall.received(this.#parts.clock.now())) this.#notified.notify();
  }

  /** The server was asked for a sign of life. */
  asked(): void {
    this.#stall.asked(this.#parts.clock.now());
    this.#notified.notify();
  }

  /** The server answered, having sent what there was to send up to `position`. */
  answered(position: Lsn): void {
    this.#stall.answered(this.#parts.clock.now(), position);
  }

  commit(): void {
    this.#handoff.commit();
    this.#stall.commit(this.#parts.clock.now());
  }

  /** The transaction being received did something that only a sweep, or another reading, can see: one follows when it is visible, soon or some time. */
  watch(isSoon = true): void {
    const isCheckedSoon = this.#isCheckedSoon;
    this.#handoff.defer();
    if (this.#handoff.behind.isEvery) this.#parts.events.swept(true);
    if (isSoon && !isCheckedSoon) this.#checks.restart(this.#parts.clock.now());
    this.#notified.notify();
  }

  #inserter(xid: Xid | null): Inserter | null {
    return xid === null ? null : { xid, history: this.#history.signal };
  }

  // The outbox.

  /** The connection is gone, or made: every lane is behind. */
  cut(sameHistory: boolean): void {
    this.#epoch++;
    if (!sameHistory) {
      this.#history.abort();
      this.#history = new AbortController();
    }
    this.#drop(this.#handoff.cut(sameHistory));
    this.#from = null;
    this.#dueAt = null;
    this.#lookAt = null;
    this.#notBefore = AT_ONCE;
    this.#stall = new StreamStall();
    this.#notified.notify();
  }

  /** Reads the outbox once more as soon as there is room. */
  ask(): void {
    this.#asked = true;
    this.#notified.notify();
  }

  /** Half of what may wait of `lane` in memory does not. */
  low(lane: Lane): void {
    if (!this.#handoff.behind.has(lane)) return;
    const isWantedSoon = !this.#wantedSoon && this.#parts.sender.isWantedSoon(lane);
    if (this.#wanted && !isWantedSoon) return;
    this.#wanted = true;
    this.#wantedSoon ||= isWantedSoon;
    this.#notified.notify();
  }

  /** What waited of `lane` was given up: the outbox has it. */
  givenUp(lane: Lane): void {
    this.#handoff.givenUp(lane);
    if (this.#lookAt !== null) return;
    this.#lookAt = this.#parts.clock.now() + GIVEN_UP_MS;
    this.#notified.notify();
  }

  /** A deferred row is due in `ms`. */
  dueIn(ms: number): void {
    const at = this.#parts.clock.now() + ms;
    if (this.#dueAt !== null && at >= this.#dueAt) return;
    this.#dueAt = at;
    this.#notified.notify();
  }

  /** Wakes the reader where its next step is earlier than it expects. */
  changed(): void {
    const step = nextStep(this.#schedule());
    const at = step.kind === "wait" ? this.#at(step.ms) : 0;
    if (at < this.#readsAt) this.#notified.notify();
  }

  #at(ms: number | null): number {
    return ms === null ? Infinity : this.#parts.clock.now() + ms;
  }

  /** Reads the outbox when there is reason to, until `signal` fires. */
  async read(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const step = nextStep(this.#schedule());
      switch (step.kind) {
        case "sweep":
          await this.#sweep(step.of);
          break;
        case "check":
          await this.#check();
          break;
        case "wait":
          this.#readsAt = this.#at(step.ms);
          await this.#notified.wait(step.ms, this.#parts.clock, signal);
          break;
      }
    }
  }

  #schedule(): ScheduleState {
    const { sender, clock, reading } = this.#parts;
    const checkAt = this.#checks.next;
    return {
      reading: reading(),
      now: clock.now(),
      hasRoom: sender.hasRoom,
      isLimited: sender.isLimited,
      isStocked: sender.isStocked,
      lanesBehind: this.lanesBehind,
      swept: this.#swept,
      notBefore: this.#notBefore,
      dueAt: this.#dueAt,
      lookAt: this.#lookAt,
      asked: this.#asked,
      wanted: this.#wanted,
      wantedSoon: this.#wantedSoon,
      stalledSince: this.#stall.since,
      checkAt: this.#handoff.isWatching && !this.#handoff.behind.isEvery ? checkAt : null,
    };
  }

  async #sweep(wanted: Sweeping): Promise<void> {
    const { sender, outbox, clock, events } = this.#parts;
    const epoch = this.#epoch;
    const startedAt = clock.now();
    const { behind } = this.#handoff;
    const sweeping = wanted === "behind" && !canBeNamed(behind.lanes) ? "every" : wanted;
    const state = { now: startedAt, sender, behind, from: this.#from, stalledSince: this.#stall.since };
    const { lanes, plan, readsBehind } = planSweep(sweeping, state);
    this.#begins(sweeping, readsBehind);
    if (lanes !== "every" && lanes.size === 0) {
      this.#ended([sweeping], startedAt);
      this.#lookForLow(behind.lanes);
      return;
    }
    this.#handoff.sweepStarts(lanes);
    try {
      const found = await outbox.sweep(plan).finally(() => this.#ended([wanted, sweeping], startedAt));
      this.#failures.succeeded();
      if (epoch === this.#epoch) this.#found(found, lanes, sweeping);
    } catch (error) {
      this.#failed(error);
      if (epoch === this.#epoch) this.#drop(this.#handoff.sweepFailed());
      events.swept(this.#handoff.behind.isEvery);
    }
  }

  /** What the sweep does need not be done once more. */
  #begins(sweeping: Sweeping, readsBehind: boolean): void {
    if (readsBehind) {
      this.#wanted = false;
      this.#wantedSoon = false;
      this.#lookAt = null;
    }
    if (sweeping !== "every") return;
    this.#asked = false;
    this.#dueAt = null;
  }

  #ended(kinds: readonly Sweeping[], startedAt: number): void {
    const at = this.#parts.clock.now();
    for (const kind of kinds) this.#swept[kind] = { at, ms: at - startedAt };
  }

  #found(found: SweepResult, lanes: SweptLanes, sweeping: Sweeping): void {
    const { sender, clock, events } = this.#parts;
    const left = new Set(found.left);
    const refused = found.rows.filter((row) => !this.#accept(row));
    for (const { lane } of refused) left.add(lane);
    const isCheckedSoon = this.#isCheckedSoon;
    const { accepted, dropped, hasCaughtUp } = this.#handoff.sweepReturned({ ...found, left });
    this.#drop(dropped);
    for (const one of accepted) {
      if (sender.staysInOutbox(one.row)) {
        this.#drop([one]);
        this.givenUp(one.lane);
      } else sender.accept(one.row, this.#inserter(one.xid));
    }
    const now = clock.now();
    const { behind } = this.#handoff;
    if (lanes === "every") this.#from = found.next;
    this.#stall.swept(now, found.insertLsn);
    const emptyMs = found.rows.length === 0 ? Math.max(EMPTY_PAUSE_MS, EMPTY_PAUSE * this.#swept[sweeping].ms) : 0;
    this.#notBefore = { ...this.#notBefore, [sweeping]: now + (refused.length > 0 ? REFUSED_PAUSE_MS : emptyMs) };
    if (found.nextDueMs !== null) this.dueIn(found.nextDueMs);
    this.#lookForLow(sweeping === "preferred" ? left : behind.lanes);
    if (hasCaughtUp && !isCheckedSoon) this.#checks.restart(now);
    events.swept(behind.isEvery);
    events.accepted();
    if (!behind.isEvery && !this.#handoff.isWatching) events.visible();
  }

  /** P2: nothing is queued of some lanes that are behind, so that no start says that they could take more. */
  #lookForLow(lanes: Iterable<Lane>): void {
    const { sender } = this.#parts;
    const low = [...lanes].filter((lane) => sender.isLow(lane));
    this.#wanted ||= low.length > 0;
    this.#wantedSoon ||= low.some((lane) => sender.isWantedSoon(lane));
  }

  /** P5: the sweep was planned before its rows had company. */
  #accept(row: OutboxRow): boolean {
    const { sender } = this.#parts;
    if (sender.staysInOutbox(row) || !sender.hold(row.lane, row.request.bytes)) return false;
    sender.accept(row, null);
    return true;
  }

  #drop(rows: readonly Streamed<OutboxRow>[]): void {
    for (const { lane, bytes } of rows) this.#parts.sender.drop(lane, bytes);
  }

  #failed(error: unknown): void {
    const at = this.#parts.clock.now() + this.#failures.failed(error);
    this.#notBefore = { every: at, behind: at, preferred: at };
    this.#asked = true;
  }

  async #check(): Promise<void> {
    const { outbox, clock } = this.#parts;
    const epoch = this.#epoch;
    this.#checks.begins();
    try {
      const snapshot = await outbox.snapshot();
      this.#checkLog.succeeded();
      if (epoch === this.#epoch && this.#handoff.checked(snapshot)) this.ask();
    } catch (error) {
      this.#checkLog.failed(error);
    }
    this.#checks.ended(clock.now());
  }

  /** P2: however often there is a reason to check soon, that is when it is done. */
  get #isCheckedSoon(): boolean {
    return this.#handoff.isWatching && this.#checks.isFirst;
  }
}
