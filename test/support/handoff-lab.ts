import { Handoff, type RowMemory, type SweepReport, type Verdict } from "../../src/intake/handoff.ts";
import type { SweptLanes } from "../../src/intake/swept-snapshots.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { parseSnapshot } from "../../src/pg/snapshot.ts";
import { lowXid } from "../../src/pg/xid.ts";

/** Memory with room for so many rows. */
class Places implements RowMemory {
  free = 100;
  /** Bytes held, by lane. */
  readonly bytes = new Map<string, number>();

  hold(lane: string, bytes: number): boolean {
    if (this.free === 0) return false;
    this.free--;
    this.bytes.set(lane, (this.bytes.get(lane) ?? 0) + bytes);
    return true;
  }

  drop(lane: string, bytes: number): void {
    this.free++;
    this.bytes.set(lane, (this.bytes.get(lane) ?? 0) - bytes);
  }
}

/** What a sweep found; transactions below 100 had ended, and the log ends at 1,000. */
export const FOUND: SweepReport = {
  snapshot: parseSnapshot("100:100:"),
  insertLsn: lsn(1_000n),
  nextXid: 100n,
  left: new Set(),
  isWhole: true,
};
/** Transaction 110 is in progress. */
export const BUSY: SweepReport = { ...FOUND, snapshot: parseSnapshot("110:111:110"), nextXid: 111n };
/** All below 120 have ended. */
export const LATER: SweepReport = {
  ...FOUND,
  snapshot: parseSnapshot("120:120:"),
  insertLsn: lsn(3_000n),
  nextXid: 120n,
};

/** A handoff whose stream brings transactions of rows with 7 bytes. */
export class Lab {
  readonly places = new Places();
  readonly handoff = new Handoff<string>(this.places);
  #commitLsn = 2_000n;

  /** A sweep from start to end. Returns the rows buffered meanwhile that are accepted, and those that are dropped. */
  sweep(
    report: Partial<SweepReport> = {},
    meanwhile: () => void = () => undefined,
    lanes: SweptLanes = "every",
  ): readonly (readonly string[])[] {
    this.handoff.sweepStarts(lanes);
    meanwhile();
    const { accepted, dropped } = this.handoff.sweepReturned({ ...FOUND, ...report });
    return [accepted, dropped].map((rows) => rows.map(({ row }) => row));
  }

  begin(xid: bigint, commitLsn = (this.#commitLsn += 10n)): void {
    this.handoff.begin({ xid: lowXid(xid), commitLsn: lsn(commitLsn) });
  }

  row(lane: string): Verdict {
    return this.handoff.row(`of ${lane}`, lane, 7);
  }

  /** A transaction from begin to commit, with a row in each of `lanes`. */
  transaction(xid: bigint, lanes: readonly string[], commitLsn?: bigint): readonly Verdict[] {
    this.begin(xid, commitLsn);
    const verdicts = lanes.map((lane) => this.row(lane));
    this.handoff.commit();
    return verdicts;
  }
}

/** Live: the outbox was swept, and nothing is behind; with `report` of that sweep. */
export function live(report: Partial<SweepReport> = {}): Lab {
  const lab = new Lab();
  lab.sweep(report);
  return lab;
}

/** A transaction of one row that waits for a later time. */
export function deferOne(lab: Lab, xid: bigint): void {
  lab.begin(xid);
  lab.handoff.defer();
  lab.handoff.commit();
}
