import type { Lane } from "../outbox/lane.ts";
import { hasEnded, sees, type Snapshot } from "../pg/snapshot.ts";
import type { Begin } from "../wal/events.ts";
import { type Lsn, ZERO_LSN } from "../pg/lsn.ts";
import { lowXid, widenXid, type Xid } from "../pg/xid.ts";
import { Behind } from "./behind.ts";
import { type SweptLanes, SweptSnapshots } from "./swept-snapshots.ts";

/** P5: so many transactions are watched at most; with more of them every lane is behind, and the outbox is swept as a whole. */
const MOST_WATCHED = 10_000;

/**
 * P5: a snapshot with more ids than this between its `xmax` and the next one is not one to watch by: of one transaction with that many
 * subtransactions, mostly. The sweep took an id itself, so that the next one has none of these.
 */
const MOST_UNLISTED = 1_000_000n;

/** P5: so many lanes that lost rows are remembered while a sweep runs; with more of them every lane has. */
const MOST_LOST = 20_000;

/** P5: the snapshots of so many lanes are remembered; with more of them every lane is behind, and the outbox is swept as a whole. */
const MOST_SWEPT = 20_000;

/** What becomes of one streamed row. */
export type Verdict =
  /** It goes to sending. */
  | "accept"
  /** A sweep is running: it is kept until the sweep's snapshot is known. */
  | "buffer"
  /** The outbox has it, or a sweep brought it. */
  | "drop"
  /** It did not fit: its lane is behind now. */
  | "full";

/** What one sweep found, besides its rows. */
export interface SweepReport {
  readonly snapshot: Snapshot;
  /** WAL insert position after the snapshot was taken: no transaction that the snapshot sees committed beyond it. */
  readonly insertLsn: Lsn;
  /** A transaction id taken after the sweep began: every transaction decoded before has a lower one. */
  readonly nextXid: bigint;
  /** Lanes of which rows were left for want of room. */
  readonly left: ReadonlySet<Lane>;
  /** False where there are lanes that the sweep should have read, and did not. */
  readonly isWhole: boolean;
}

/** A streamed row with its transaction and what it costs in memory. */
export interface Streamed<Row> {
  readonly row: Row;
  readonly lane: Lane;
  readonly xid: Xid;
  readonly bytes: number;
}

/** What follows from a sweep's return for the rows buffered meanwhile. */
export interface Swept<Row> {
  /** They go to sending. */
  readonly accepted: readonly Streamed<Row>[];
  /** The sweep brought them, or their lane is behind. */
  readonly dropped: readonly Streamed<Row>[];
  /** A lane is not behind any more, so that further transactions are watched. */
  readonly hasCaughtUp: boolean;
}

/** The room in memory, for a row of `bytes` that waits in `lane`. */
export interface RowMemory {
  /** Holds a place for the row; false where it has to stay in the outbox. */
  hold(lane: Lane, bytes: number): boolean;
  /** Gives up a place that was held. */
  drop(lane: Lane, bytes: number): void;
}

interface Transaction extends Begin {
  /** Its receipt began before a cut. */
  readonly wasSeen: boolean;
  /** Every row so far was accepted or buffered. */
  isWhole: boolean;
}

interface Sweep {
  readonly lanes: SweptLanes;
  /** Lanes that lost rows while the sweep ran, since they did not fit or were given up. */
  readonly lost: Set<Lane>;
  /** Transactions with buffered rows of those lanes. */
  readonly partial: Set<Xid>;
  /** Every lane lost rows. */
  lostEvery: boolean;
}

/**
 * The handoff between the outbox and the stream: decides which of the two brings a row, so that each committed row is
 * brought once (P2, P3). No I/O and no clock. The rules are named as in ARCHITECTURE.md, "The handoff".
 *
 * Each lane is in one of two modes:
 *
 * - *behind*: the stream's rows are dropped, a sweep brings them. Every lane is at first. Until `sweepReturned` finds everything of it.
 * - *caught up*: the stream's rows are accepted. Until `row` finds no room for one of it, `givenUp`, a `sweepReturned` that left
 *   some of it, or a `sweepFailed` after some of it were buffered. For every lane until `cut`, a `sweepReturned` that was not whole,
 *   or too many lanes that are behind or transactions that are watched.
 *
 * The handoff as a whole, too:
 *
 * - *between sweeps*: rows are judged at once. Until `sweepStarts`.
 * - *sweeping*, all lanes or some: rows of these lanes are buffered unless their lane lost some meanwhile, since whether the sweep
 *   brings them is known with its snapshot; all others are judged at once. Until `sweepReturned`, `sweepFailed` or `cut`.
 *
 * A transaction is *received* from `begin` to `commit`; one that may have rows nobody brought is *watched*, until it is
 * accepted whole, or a sweep of all lanes has seen its end, or a cut.
 */
export class Handoff<Row> {
  /** Where accepted and buffered rows hold a place. */
  readonly #memory: RowMemory;
  /** The lanes that are behind. */
  readonly #behind = new Behind();
  /** The sweep that runs; null between two. */
  #sweep: Sweep | null = null;
  /** Rows streamed while a sweep runs, by lane. */
  #buffer = new Map<Lane, Streamed<Row>[]>();
  /** Transactions that ended while a sweep runs, every row of which is in the buffer or was accepted before. */
  #wholeInBuffer: Xid[] = [];
  /** Transactions of the time of a sweep with deferred rows: the sweep may not have seen them. */
  #deferredInSweep = new Set<Xid>();
  readonly #snapshots = new SweptSnapshots();
  /** Transactions of which rows may have been dropped before a sweep could see them. */
  readonly #watched = new Set<Xid>();
  /** The furthest commit record whose receipt began. */
  #begun = ZERO_LSN;
  /** `#begun` at the last cut. */
  #begunBeforeCut = ZERO_LSN;
  /** The transaction that is being received; null between two. */
  #current: Transaction | null = null;

  constructor(memory: RowMemory) {
    this.#memory = memory;
  }

  get behind(): Pick<Behind, "isEvery" | "count" | "has" | "lanes"> {
    return this.#behind;
  }

  /** True where no row of `lane` in the transaction being received can be accepted: `skip` does for `row`, unread. */
  drops(lane: Lane): boolean {
    if (this.#current === null || this.#current.wasSeen) return true;
    return this.#sweep !== null && isOf(this.#sweep, lane) ? hasLost(this.#sweep, lane) : this.#behind.has(lane);
  }

  /** The transaction being received; null between two. */
  get xid(): Xid | null {
    return this.#current?.xid ?? null;
  }

  /** True while transactions are watched: `checked` wants a fresh snapshot from time to time. */
  get isWatching(): boolean {
    return this.#watched.size > 0;
  }

  begin(transaction: Begin): void {
    const { commitLsn } = transaction;
    this.#current = { ...transaction, wasSeen: commitLsn <= this.#begunBeforeCut, isWhole: true };
    if (commitLsn > this.#begun) this.#begun = commitLsn;
    this.#snapshots.passed(commitLsn);
  }

  /** Judges a row of the transaction being received. Where it is accepted or buffered, memory holds a place for it. */
  row(row: Row, lane: Lane, bytes: number): Verdict {
    const current = this.#current;
    if (current === null) return "drop";
    const verdict = this.#judge(current, lane, bytes);
    if (verdict === "buffer") this.#keep({ row, lane, xid: current.xid, bytes });
    else if (verdict !== "accept") current.isWhole = false;
    return verdict;
  }

  /** Drops a row of the transaction being received; for use where `drops`. */
  skip(): void {
    if (this.#current !== null) this.#current.isWhole = false;
  }

  /**
   * Leaves a row that waits for a later time to the outbox. Its transaction is watched, since the sweep that learns
   * the time must see it.
   */
  defer(): void {
    const current = this.#current;
    if (current === null || current.wasSeen) return;
    current.isWhole = false;
    if (this.#sweep !== null) this.#deferredInSweep.add(current.xid);
    if (!this.#behind.isEvery) this.#watched.add(current.xid);
    if (this.#deferredInSweep.size <= MOST_WATCHED && this.#watched.size <= MOST_WATCHED) return;
    this.#deferredInSweep.clear();
    this.#watched.clear();
    this.#loseEvery();
  }

  #judge(current: Transaction, lane: Lane, bytes: number): Verdict {
    // notTwice: the sweep after the cut has it, or it is watched.
    if (current.wasSeen) return "drop";
    if (this.#sweep !== null && isOf(this.#sweep, lane)) {
      if (hasLost(this.#sweep, lane)) return "drop";
      if (this.#memory.hold(lane, bytes)) return "buffer";
      // bufferBounded
      this.givenUp(lane);
      this.#unbuffer(lane, this.#sweep);
      return "full";
    }
    if (this.#behind.has(lane) || this.#snapshots.has(lane, current.xid)) return "drop";
    if (this.#memory.hold(lane, bytes)) return "accept";
    this.givenUp(lane);
    return "full";
  }

  /** evictBehind: what waited in `lane` was given up, also where that happens while a sweep runs. */
  givenUp(lane: Lane): void {
    const wereNamed = !this.#behind.isEvery;
    // What was given up may be of the transaction being received.
    this.#currentIsPartial();
    this.#behind.add(lane);
    if (this.#sweep === null) return;
    this.#sweep.lost.add(lane);
    if ((wereNamed && this.#behind.isEvery) || this.#sweep.lost.size > MOST_LOST) this.#loseEvery();
  }

  #keep(streamed: Streamed<Row>): void {
    const ofLane = this.#buffer.get(streamed.lane);
    if (ofLane === undefined) this.#buffer.set(streamed.lane, [streamed]);
    else ofLane.push(streamed);
  }

  #unbuffer(lane: Lane, { partial }: Sweep): void {
    for (const { xid, bytes } of this.#buffer.get(lane) ?? []) {
      this.#memory.drop(lane, bytes);
      partial.add(xid);
    }
    this.#buffer.delete(lane);
  }

  /** The transaction being received is complete. */
  commit(): void {
    const current = this.#current;
    this.#current = null;
    if (current === null || current.wasSeen || !current.isWhole) return;
    if (this.#sweep === null) this.#watched.delete(current.xid);
    else this.#wholeInBuffer.push(current.xid);
  }

  /** A sweep of `lanes` begins; of some alone only where not every lane is behind. */
  sweepStarts(lanes: SweptLanes): void {
    this.#sweep = { lanes, lost: new Set(), partial: new Set(), lostEvery: false };
  }

  /** The sweep's rows go to sending in any case; this says what else follows. */
  sweepReturned(report: SweepReport): Swept<Row> {
    const sweep = this.#sweep;
    const buffer = [...this.#buffer.values()].flat();
    const wholeInBuffer = this.#wholeInBuffer;
    const deferred = this.#deferredInSweep;
    this.#endSweep();
    const isWatchable = report.nextXid - report.snapshot.xmax <= MOST_UNLISTED;
    if (sweep === null || !report.isWhole || sweep.lostEvery || !isWatchable) {
      this.#loseEvery();
      this.#currentIsPartial();
      return { accepted: [], dropped: buffer, hasCaughtUp: false };
    }
    // partly
    const caughtUp = this.#behind.swept(sweep.lanes, new Set([...report.left, ...sweep.lost]));
    if (sweep.lanes === "every") this.#unwatch(report.snapshot);
    if (caughtUp) this.#watch(report);
    this.#snapshots.add(sweep.lanes, report.snapshot, report.insertLsn);
    const accepted: Streamed<Row>[] = [];
    const dropped: Streamed<Row>[] = [];
    const { partial } = sweep;
    for (const one of buffer) {
      const isBehind = this.#behind.has(one.lane);
      if (isBehind) partial.add(one.xid);
      if (isBehind || this.#snapshots.has(one.lane, one.xid)) dropped.push(one);
      else accepted.push(one);
    }
    if (this.#current !== null && partial.has(this.#current.xid)) this.#currentIsPartial();
    for (const xid of wholeInBuffer) if (!partial.has(xid)) this.#watched.delete(xid);
    for (const xid of deferred) if (!sees(report.snapshot, xid)) this.#watched.add(xid);
    if (this.#snapshots.size > MOST_SWEPT) this.#loseEvery();
    return { accepted, dropped, hasCaughtUp: caughtUp };
  }

  /** A sweep of every lane has seen the end of these: whatever of them was dropped, it brought. */
  #unwatch(snapshot: Snapshot): void {
    for (const xid of this.#watched) {
      if (hasEnded(snapshot, widenXid(xid, snapshot.xmax))) this.#watched.delete(xid);
    }
  }

  /** watch: what is in progress while a lane catches up may have been decoded, and dropped, already. */
  #watch({ snapshot, nextXid }: SweepReport): void {
    for (const id of snapshot.inProgress) this.#watched.add(lowXid(id));
    for (let id = snapshot.xmax; id < nextXid; id++) this.#watched.add(lowXid(id));
  }

  /** The sweep brought nothing to act on. Returns what was buffered meanwhile: it is dropped. */
  sweepFailed(): readonly Streamed<Row>[] {
    const buffer = [...this.#buffer.values()].flat();
    this.#endSweep();
    for (const { lane } of buffer) this.#behind.add(lane);
    this.#currentIsPartial();
    return buffer;
  }

  /** watch: true where a watched transaction ended without having been accepted whole, so that one more sweep is due. */
  checked(snapshot: Snapshot): boolean {
    for (const xid of this.#watched) if (hasEnded(snapshot, widenXid(xid, snapshot.xmax))) return true;
    return false;
  }

  /** The connection is gone, and what was in hand with it; `sameHistory` is false after a failover or a restore. Returns what was buffered. */
  cut(sameHistory: boolean): readonly Streamed<Row>[] {
    const buffer = [...this.#buffer.values()].flat();
    this.#endSweep();
    this.#loseEvery();
    this.#snapshots.clear();
    this.#watched.clear();
    this.#current = null;
    if (!sameHistory) this.#begun = ZERO_LSN;
    this.#begunBeforeCut = this.#begun;
    return buffer;
  }

  #endSweep(): void {
    this.#sweep = null;
    this.#buffer = new Map();
    this.#wholeInBuffer = [];
    this.#deferredInSweep = new Set();
  }

  #loseEvery(): void {
    this.#behind.addEvery();
    if (this.#sweep === null) return;
    this.#sweep.lostEvery = true;
    this.#sweep.lost.clear();
  }

  #currentIsPartial(): void {
    if (this.#current !== null) this.#current.isWhole = false;
  }
}

/** True where the sweep reads `lane`. */
function isOf({ lanes }: Sweep, lane: Lane): boolean {
  return lanes === "every" || lanes.has(lane);
}

/** True where `lane` lost rows while the sweep ran. */
function hasLost({ lost, lostEvery }: Sweep, lane: Lane): boolean {
  return lostEvery || lost.has(lane);
}
