import { hasEnded, sees, type Snapshot } from "../outbox/snapshot.ts";
import type { Begin } from "../wal/events.ts";
import { type Lsn, ZERO_LSN } from "../wal/lsn.ts";
import { lowXid, widenXid, type Xid } from "../wal/xid.ts";

/** What becomes of one streamed row. */
export type Verdict =
  /** It goes to sending. */
  | "take"
  /** A sweep is running: it is kept until the sweep's snapshot is known. */
  | "aside"
  /** The outbox has it, or a sweep brought it. */
  | "drop"
  /** It did not fit: everything aside is dropped with it, and the outbox is swept again. */
  | "overflow";

/** What one sweep found, besides its rows. */
export interface SweepReport {
  readonly snapshot: Snapshot;
  /** WAL insert position after the snapshot was taken: no transaction that the snapshot sees committed beyond it. */
  readonly insertLsn: Lsn;
  /** A transaction id taken after the sweep began: every transaction decoded before has a lower one. Null for a sweep that cannot be the last. */
  readonly nextXid: bigint | null;
  /** Highest id read of the rows that were never parked; null without any. */
  readonly highestId: bigint | null;
  /** Everything left in the outbox fitted. */
  readonly all: boolean;
}

/** A streamed row with its transaction and what it costs in memory. */
export interface Streamed<Row> {
  readonly row: Row;
  readonly xid: Xid;
  readonly bytes: number;
}

/** What follows from a sweep's return. */
export interface Swept<Row> {
  /** This sweep was the last: the stream's rows are taken from here on. */
  readonly last: boolean;
  /** Rows kept aside that the sweep did not see: they go to sending. */
  readonly taken: readonly Streamed<Row>[];
}

/** P5: so many transactions are watched at most; with more of them the outbox is swept as where rows did not fit. */
const MOST_WATCHED = 10_000;

interface Current extends Begin {
  /** Begun to be received before a cut. */
  readonly had: boolean;
  /** Every row so far was taken or is aside. */
  whole: boolean;
}

/**
 * The seam between the outbox and the stream: decides which of the two brings a row, so that each committed row is
 * brought once (P2, P3). No I/O and no clock. The rules are named as in ARCHITECTURE.md, "The seam".
 *
 * One sweep runs at a time: `sweepStarts`, then `sweepReturned` or `sweepFailed`. In between streamed rows are put aside.
 */
export class Seam<Row> {
  #live = false;
  #above = 0n;
  #sweep: { readonly above: bigint; overflowed: boolean } | null = null;
  #aside: Streamed<Row>[] = [];
  #asideBytes = 0;
  #wholeAside: Xid[] = [];
  readonly #laterAside = new Set<Xid>();
  #seen: { readonly snapshot: Snapshot; readonly until: Lsn } | null = null;
  readonly #watched = new Set<Xid>();
  #begun = ZERO_LSN;
  #before = ZERO_LSN;
  #current: Current | null = null;

  /** True where streamed rows are taken; false in catch-up. */
  get live(): boolean {
    return this.#live;
  }

  /** True where no row of the transaction that began last can be taken: `skip` does for `row`, unread. */
  get dropsAll(): boolean {
    return this.#current === null || this.#current.had || (this.#sweep === null && !this.#live);
  }

  /** The transaction that began last; null between two. */
  get xid(): Xid | null {
    return this.#current?.xid ?? null;
  }

  /** Rows kept aside: they count against the memory bound. */
  get asideCount(): number {
    return this.#aside.length;
  }

  /** What the rows aside cost in memory. */
  get asideBytes(): number {
    return this.#asideBytes;
  }

  /** True while transactions are watched: `looked` wants a fresh snapshot now and then. */
  get watching(): boolean {
    return this.#watched.size > 0;
  }

  begin(transaction: Begin): void {
    const { commitLsn } = transaction;
    this.#current = { ...transaction, had: commitLsn <= this.#before, whole: true };
    if (commitLsn > this.#begun) this.#begun = commitLsn;
    if (this.#seen !== null && commitLsn >= this.#seen.until) this.#seen = null;
  }

  /** Judges a row of `bytes` of the transaction that began last. `fits` is whether the memory bound has room for it. */
  row(row: Row, bytes: number, fits: boolean): Verdict {
    const current = this.#current;
    if (current === null) return "drop";
    const verdict = this.#judge(current, fits);
    switch (verdict) {
      case "take":
        break;
      case "aside":
        this.#aside.push({ row, xid: current.xid, bytes });
        this.#asideBytes += bytes;
        break;
      case "drop":
      case "overflow":
        current.whole = false;
        break;
    }
    return verdict;
  }

  /** Drops a row of the transaction that began last; for use where `dropsAll`. */
  skip(): void {
    if (this.#current !== null) this.#current.whole = false;
  }

  /**
   * Leaves a row that waits for a later time to the outbox. Its transaction is watched, since the sweep that learns
   * the time must see it. False where too many are watched: then the outbox is swept anew.
   */
  later(): boolean {
    const current = this.#current;
    if (current === null || current.had) return true;
    current.whole = false;
    if (this.#sweep !== null) this.#laterAside.add(current.xid);
    if (this.#live) this.#watched.add(current.xid);
    if (this.#laterAside.size <= MOST_WATCHED && this.#watched.size <= MOST_WATCHED) return true;
    if (this.#sweep !== null) this.#sweep.overflowed = true;
    this.#laterAside.clear();
    this.#overflow();
    return false;
  }

  #judge(current: Current, fits: boolean): Verdict {
    // notTwice: the sweep after the cut has it, or it is watched.
    if (current.had) return "drop";
    if (this.#sweep !== null) {
      if (fits) return "aside";
      // asideBounded
      this.#sweep.overflowed = true;
      this.#overflow();
      return "overflow";
    }
    if (!this.#live || this.#isSwept(current)) return "drop";
    if (fits) return "take";
    this.#overflow();
    return "overflow";
  }

  /** ignoreSwept */
  #isSwept({ xid }: Current): boolean {
    return this.#seen !== null && sees(this.#seen.snapshot, xid);
  }

  /** The transaction that began last is complete. */
  commit(): void {
    const current = this.#current;
    this.#current = null;
    if (current === null || !current.whole) return;
    if (this.#sweep === null) this.#watched.delete(current.xid);
    else this.#wholeAside.push(current.xid);
  }

  /** Where the next sweep reads from: ids above the returned one. */
  sweepStarts(): bigint {
    this.#sweep = { above: this.#above, overflowed: false };
    return this.#above;
  }

  /** The sweep's rows go to sending in any case; this says what else follows. */
  sweepReturned(report: SweepReport): Swept<Row> {
    const sweep = this.#sweep;
    const aside = this.#aside;
    const wholeAside = this.#wholeAside;
    const laterAside = [...this.#laterAside];
    this.#stopSweep();
    if (sweep === null) return { last: false, taken: [] };
    if (!report.all) {
      this.#live = false;
      this.#above = report.highestId ?? sweep.above;
      return this.#again();
    }
    // fromLowest: a row with a low id may have committed behind the cursor.
    this.#above = 0n;
    if (sweep.above !== 0n || sweep.overflowed) return this.#again();
    const taken = this.#last(report, aside);
    for (const xid of wholeAside) this.#watched.delete(xid);
    for (const xid of laterAside) if (!sees(report.snapshot, xid)) this.#watched.add(xid);
    return { last: true, taken };
  }

  #again(): Swept<Row> {
    if (this.#current !== null) this.#current.whole = false;
    return { last: false, taken: [] };
  }

  #last(report: SweepReport, aside: readonly Streamed<Row>[]): readonly Streamed<Row>[] {
    this.#watch(report);
    this.#live = true;
    this.#seen = { snapshot: report.snapshot, until: report.insertLsn };
    return aside.filter(({ xid }) => !sees(report.snapshot, xid));
  }

  /**
   * watch: what is in progress now may have been decoded, and dropped, already. After a sweep in live mode only those
   * still in progress stay watched: later ones were or will be taken from the stream.
   */
  #watch({ snapshot, nextXid }: SweepReport): void {
    if (this.#live) {
      for (const xid of this.#watched) {
        if (hasEnded(snapshot, widenXid(xid, snapshot.xmax))) this.#watched.delete(xid);
      }
      return;
    }
    this.#watched.clear();
    for (const id of snapshot.inProgress) this.#watched.add(lowXid(id));
    for (let id = snapshot.xmax; nextXid !== null && id < nextXid; id++) this.#watched.add(lowXid(id));
  }

  /** The sweep brought nothing to act on; the next one starts where it did. */
  sweepFailed(): void {
    const sweep = this.#sweep;
    const dropped = this.#aside.length > 0 || sweep?.overflowed === true;
    this.#stopSweep();
    this.#again();
    if (dropped) this.#overflow();
  }

  /** watch: true where a watched transaction ended without having been taken whole, so that one more sweep is due. */
  looked(snapshot: Snapshot): boolean {
    for (const xid of this.#watched) if (hasEnded(snapshot, widenXid(xid, snapshot.xmax))) return true;
    return false;
  }

  /** The connection is gone, and what was in hand with it; `sameHistory` is false after a failover or a restore. */
  cut(sameHistory: boolean): void {
    this.#stopSweep();
    this.#overflow();
    this.#seen = null;
    this.#watched.clear();
    this.#current = null;
    if (!sameHistory) this.#begun = ZERO_LSN;
    this.#before = this.#begun;
  }

  #stopSweep(): void {
    this.#sweep = null;
    this.#dropAside();
    this.#laterAside.clear();
  }

  #overflow(): void {
    this.#live = false;
    this.#above = 0n;
    this.#dropAside();
  }

  #dropAside(): void {
    this.#aside = [];
    this.#asideBytes = 0;
    this.#wholeAside = [];
  }
}
