import { describe, expect, test } from "vitest";
import { Handoff, type RowMemory, type SweepReport, type Verdict } from "../../src/intake/handoff.ts";
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
const FOUND: SweepReport = {
  snapshot: parseSnapshot("100:100:"),
  insertLsn: lsn(1_000n),
  nextXid: 100n,
  left: new Set(),
  isWhole: true,
};
/** Transaction 110 is in progress. */
const BUSY: SweepReport = { ...FOUND, snapshot: parseSnapshot("110:111:110"), nextXid: 111n };
/** All below 120 have ended. */
const LATER: SweepReport = { ...FOUND, snapshot: parseSnapshot("120:120:"), insertLsn: lsn(3_000n), nextXid: 120n };

/** A handoff whose stream brings transactions of rows with 7 bytes. */
class Lab {
  readonly places = new Places();
  readonly handoff = new Handoff<string>(this.places);
  #commitLsn = 2_000n;

  /** A sweep from start to end. Returns the rows buffered meanwhile that are accepted, and those that are dropped. */
  sweep(report: Partial<SweepReport> = {}, meanwhile: () => void = () => undefined): readonly (readonly string[])[] {
    this.handoff.sweepStarts();
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
function live(report: Partial<SweepReport> = {}): Lab {
  const lab = new Lab();
  lab.sweep(report);
  return lab;
}

describe("between sweeps", () => {
  test("P2: at first every row of the stream is dropped, and afterwards it is accepted", () => {
    const lab = new Lab();
    expect(lab.transaction(110n, ["a"])).toEqual(["drop"]);
    lab.sweep(LATER);
    expect(lab.transaction(120n, ["a"], 3_000n)).toEqual(["accept"]);
    expect(lab.places.bytes).toEqual(new Map([["a", 7]]));
  });

  test("P3 ignoreSwept: what the last sweep saw is ignored up to the sweep's end of the log, and not beyond, where ids may wrap", () => {
    const lab = live();
    expect(lab.transaction(99n, ["a"], 999n)).toEqual(["drop"]);
    expect(lab.transaction(99n, ["a"], 1_000n)).toEqual(["accept"]);
    expect(lab.transaction(99n, ["a"], 1_001n)).toEqual(["accept"]);
  });

  test("P2: a lane of which a row found no room is behind, and others are not", () => {
    const lab = live();
    lab.places.free = 0;
    lab.begin(110n);
    const first = lab.row("a");
    lab.places.free = 1;
    expect([first, lab.row("a"), lab.row("b")]).toEqual(["full", "drop", "accept"]);
  });

  test("P3: what was accepted is not accepted once more after the next sweep", () => {
    const lab = live();
    lab.transaction(110n, ["a"]);
    expect(lab.sweep(LATER)).toEqual([[], []]);
  });

  test("a row outside of a transaction is dropped, and may be left unread", () => {
    const lab = live();
    lab.handoff.skip();
    lab.handoff.defer();
    expect([lab.row("a"), lab.handoff.xid, lab.handoff.isWatching]).toEqual(["drop", null, false]);
    lab.begin(110n);
    expect(lab.handoff.xid).toBe(lowXid(110n));
  });
});

test("rows may be left unread where they are dropped whatever is in them, and nowhere else", () => {
  const lab = new Lab();
  const drops = (): readonly boolean[] => ["a", "b"].map((lane) => lab.handoff.drops(lane));
  lab.begin(110n);
  const atFirst = drops();
  const sweeping: (readonly boolean[])[] = [];
  lab.sweep({ ...FOUND, left: new Set(["a"]) }, () => {
    sweeping.push(drops());
    lab.handoff.givenUp("b");
    sweeping.push(drops());
    lab.handoff.commit();
    sweeping.push(drops());
  });
  lab.sweep({ ...FOUND, left: new Set(["a"]) });
  const outside = drops();
  lab.begin(111n);
  const partly = drops();
  expect({ atFirst, sweeping, outside, partly }).toEqual({
    atFirst: [true, true],
    sweeping: [
      [false, false],
      [false, true],
      [true, true],
    ],
    outside: [true, true],
    partly: [true, false],
  });
});

describe("while a sweep runs", () => {
  test("P3 aside: rows are buffered, and then accepted where the sweep did not see them", () => {
    const lab = live();
    const seen: (readonly Verdict[])[] = [];
    const [accepted, dropped] = lab.sweep(LATER, () => {
      seen.push(lab.transaction(119n, ["a"], 2_900n), lab.transaction(120n, ["b", "c"], 3_000n));
    });
    expect(seen).toEqual([["buffer"], ["buffer", "buffer"]]);
    expect([accepted, dropped]).toEqual([["of b", "of c"], ["of a"]]);
  });

  test("P2 partly: rows of a lane of which the sweep left some are dropped, and it is behind", () => {
    const lab = live();
    const found = lab.sweep({ left: new Set(["a"]) }, () => lab.transaction(110n, ["a", "b"]));
    expect(found).toEqual([["of b"], ["of a"]]);
    expect(lab.transaction(111n, ["a", "b"])).toEqual(["drop", "accept"]);
  });

  test("P2, P5 bufferBounded: a lane whose rows did not fit gives its places back, and is behind after the sweep", () => {
    const lab = live();
    lab.places.free = 3;
    const verdicts: (readonly Verdict[])[] = [];
    const found = lab.sweep({}, () => {
      verdicts.push(lab.transaction(110n, ["a", "b", "a"]), lab.transaction(111n, ["a", "a", "b"]));
    });
    expect(verdicts).toEqual([
      ["buffer", "buffer", "buffer"],
      ["full", "drop", "buffer"],
    ]);
    expect([found, lab.places.bytes.get("a"), lab.places.bytes.get("b")]).toEqual([[["of b", "of b"], []], 0, 14]);
    expect(lab.transaction(112n, ["a", "b"])).toEqual(["drop", "accept"]);
  });

  test("P2 bufferBounded: the first row of a lane may find no room", () => {
    const lab = live();
    lab.places.free = 0;
    expect(lab.sweep({}, () => lab.transaction(110n, ["a"]))).toEqual([[], []]);
    expect(lab.handoff.behind.has("a")).toBe(true);
  });

  test("P2 evictBehind: a lane that is given up is behind after the sweep, and its buffered rows are dropped", () => {
    const lab = live();
    const found = lab.sweep({}, () => {
      lab.transaction(110n, ["a", "b"]);
      lab.handoff.givenUp("a");
    });
    expect(found).toEqual([["of b"], ["of a"]]);
    expect(["a", "b"].map((lane) => lab.handoff.behind.has(lane))).toEqual([true, false]);
  });

  test.each([
    ["did not look at every lane", (lab: Lab) => lab.sweep({ isWhole: false }, () => lab.transaction(110n, ["a"]))],
    [
      "lost rows of every lane meanwhile",
      (lab: Lab) =>
        lab.sweep({}, () => {
          lab.transaction(110n, ["a"]);
          lab.begin(111n);
          for (let xid = 111n; xid <= 10_111n; xid++) deferOne(lab, xid);
        }),
    ],
  ])("P2: after a sweep that %s every lane is behind, and what was buffered is dropped", (_what, sweep) => {
    const lab = live();
    expect(sweep(lab)).toEqual([[], ["of a"]]);
    expect(lab.handoff.behind.isEvery).toBe(true);
  });

  test("a report without a sweep leaves every lane behind", () => {
    const lab = live();
    expect(lab.handoff.sweepReturned(FOUND)).toEqual({ accepted: [], dropped: [] });
    expect(lab.handoff.behind.isEvery).toBe(true);
  });

  test("P2: after a sweep that failed the lanes with buffered rows are behind, and no others", () => {
    const lab = live();
    lab.handoff.sweepStarts();
    lab.transaction(110n, ["a", "a"]);
    expect(lab.handoff.sweepFailed().map(({ row }) => row)).toEqual(["of a", "of a"]);
    expect(lab.transaction(111n, ["a", "b"])).toEqual(["drop", "accept"]);
    expect(lab.sweep()).toEqual([[], []]);
  });
});

/** A transaction of one row that waits for a later time. */
function deferOne(lab: Lab, xid: bigint): void {
  lab.begin(xid);
  lab.handoff.defer();
  lab.handoff.commit();
}

describe("P2 watch:", () => {
  /** True where a snapshot in which 110 has ended asks for one more sweep. */
  const asksFor110 = (lab: Lab): boolean => lab.handoff.checked(LATER.snapshot);

  test("what is in progress when lanes catch up is watched until it has ended", () => {
    const lab = live(BUSY);
    expect([lab.handoff.isWatching, lab.handoff.checked(BUSY.snapshot), asksFor110(lab)]).toEqual([true, false, true]);
    expect(live().handoff.isWatching).toBe(false);
  });

  test("what is at or above the snapshot's xmax is watched up to the next transaction id", () => {
    const { handoff } = live({ nextXid: 102n });
    const ended = ["100:102:100,101", "100:102:100", "100:102:101"].map((text) => handoff.checked(parseSnapshot(text)));
    expect(ended).toEqual([false, true, true]);
    expect(handoff.checked(parseSnapshot("102:103:"))).toBe(true);
    expect(live({ nextXid: 100n }).handoff.isWatching).toBe(false);
  });

  test("a sweep by which no lane catches up adds none, and forgets those that it saw the end of", () => {
    const lab = live();
    lab.sweep(BUSY);
    expect(lab.handoff.isWatching).toBe(false);
    const watching = live(BUSY);
    watching.sweep(BUSY);
    expect(watching.handoff.isWatching).toBe(true);
    watching.sweep(LATER);
    expect(watching.handoff.isWatching).toBe(false);
  });

  test("a transaction that is accepted whole from the stream is watched no more", () => {
    const lab = live(BUSY);
    lab.transaction(110n, ["a", "b"]);
    expect(lab.handoff.isWatching).toBe(false);
  });

  test("one of which a row was dropped, left unread, deferred or found no room is watched on", () => {
    const partly: readonly ((lab: Lab) => void)[] = [
      (lab) => lab.row("behind"),
      (lab) => lab.handoff.skip(),
      (lab) => lab.handoff.defer(),
      (lab) => {
        lab.places.free = 0;
        lab.row("a");
        lab.places.free = 1;
      },
    ];
    const watching = partly.map((act) => {
      const lab = live({ ...BUSY, left: new Set(["behind"]) });
      lab.begin(110n);
      act(lab);
      lab.row("b");
      lab.handoff.commit();
      return asksFor110(lab);
    });
    expect(watching).toEqual([true, true, true, true]);
  });

  test("one that ends while a sweep runs is watched until all its rows are accepted", () => {
    const accepted = live(BUSY);
    accepted.sweep(BUSY, () => {
      accepted.transaction(110n, ["a"]);
      expect(asksFor110(accepted)).toBe(true);
    });
    expect(accepted.handoff.isWatching).toBe(false);
    const partly = live(BUSY);
    partly.sweep({ ...BUSY, left: new Set(["a"]) }, () => partly.transaction(110n, ["a", "b"]));
    expect(asksFor110(partly)).toBe(true);
    const full = live(BUSY);
    full.sweep(BUSY, () => {
      full.transaction(110n, ["a"]);
      full.places.free = 0;
      full.transaction(111n, ["a"]);
    });
    expect(asksFor110(full)).toBe(true);
  });

  test("one that is being received while a sweep ends is watched on where a row of it was dropped, and not otherwise", () => {
    const ends: readonly ((lab: Lab) => void)[] = [
      (lab) => lab.handoff.sweepReturned(BUSY),
      (lab) => lab.handoff.sweepReturned({ ...BUSY, left: new Set(["a"]) }),
      (lab) => lab.handoff.sweepReturned({ ...BUSY, isWhole: false }),
      (lab) => lab.handoff.sweepFailed(),
    ];
    const watching = ends.map((end) => {
      const lab = live(BUSY);
      lab.handoff.sweepStarts();
      lab.begin(110n);
      lab.row("a");
      end(lab);
      lab.handoff.commit();
      return asksFor110(lab);
    });
    expect(watching).toEqual([false, true, true, true]);
  });

  test("P2 later: a deferred row's transaction is watched until it has ended", () => {
    const lab = live();
    deferOne(lab, 110n);
    expect([lab.handoff.isWatching, lab.handoff.checked(BUSY.snapshot), asksFor110(lab)]).toEqual([true, false, true]);
  });

  test("P2 later: one that is deferred while the first sweep runs is watched where that did not see it", () => {
    const watching = [BUSY, LATER].map((report) => {
      const lab = new Lab();
      lab.sweep({ ...report, snapshot: { ...report.snapshot, inProgress: new Set() } }, () => deferOne(lab, 111n));
      return lab.handoff.isWatching;
    });
    expect(watching).toEqual([true, false]);
  });

  test("while every lane is behind nothing is watched: the sweep that ends this sees it", () => {
    const lab = new Lab();
    deferOne(lab, 110n);
    expect(lab.handoff.isWatching).toBe(false);
  });

  test.each(["between sweeps", "while a sweep runs"])(
    "P5: 10,000 deferred transactions are watched %s, and with more every lane is behind",
    (when) => {
      const outcome = [10_000n, 10_001n].map((count) => {
        const lab = when === "between sweeps" ? live() : new Lab();
        const deferAll = (): void => {
          for (let xid = 110n; xid < 110n + count; xid++) deferOne(lab, xid);
        };
        if (when === "between sweeps") deferAll();
        else lab.sweep({}, deferAll);
        return [lab.handoff.behind.isEvery, lab.handoff.isWatching];
      });
      expect(outcome).toEqual([
        [false, true],
        [true, false],
      ]);
    },
  );
});

describe("after a cut", () => {
  test("P2: every lane is behind, and nothing is buffered or watched", () => {
    const lab = live(BUSY);
    lab.handoff.sweepStarts();
    lab.begin(111n);
    lab.row("a");
    expect(lab.handoff.cut(true).map(({ row }) => row)).toEqual(["of a"]);
    const { behind, isWatching, xid } = lab.handoff;
    expect([behind.isEvery, isWatching, xid]).toEqual([true, false, null]);
    expect(lab.transaction(112n, ["a"])).toEqual(["drop"]);
  });

  test("P3: what the sweep before it saw may be streamed in another history", () => {
    const lab = live();
    lab.handoff.cut(false);
    lab.sweep({ snapshot: parseSnapshot("50:50:"), insertLsn: lsn(10n), nextXid: 50n });
    expect(lab.transaction(60n, ["a"], 20n)).toEqual(["accept"]);
  });

  test("P3 notTwice: what began before it is not accepted again, however often the stream is cut", () => {
    const lab = live();
    lab.transaction(110n, ["a"], 2_000n);
    lab.begin(111n, 2_100n);
    lab.handoff.cut(true);
    lab.sweep(BUSY);
    expect(lab.transaction(110n, ["a"], 2_000n)).toEqual(["drop"]);
    lab.handoff.cut(true);
    lab.sweep(BUSY);
    expect(lab.transaction(111n, ["a"], 2_100n)).toEqual(["drop"]);
    expect(lab.transaction(112n, ["a"], 2_101n)).toEqual(["accept"]);
  });

  test("P2, P5 notTwice: of a transaction that began before it nothing is deferred, and its rows may be left unread", () => {
    const lab = live();
    lab.begin(110n, 2_000n);
    lab.handoff.cut(true);
    lab.sweep();
    lab.begin(110n, 2_000n);
    lab.handoff.defer();
    expect([lab.handoff.isWatching, lab.handoff.drops("a")]).toEqual([false, true]);
    lab.handoff.sweepStarts();
    expect([lab.row("a"), lab.handoff.drops("a")]).toEqual(["drop", true]);
  });

  test("P2 notTwice: positions of another history say nothing", () => {
    const lab = live();
    lab.begin(110n, 2_000n);
    lab.handoff.cut(false);
    lab.sweep({ ...FOUND, insertLsn: lsn(100n) });
    expect(lab.transaction(111n, ["a"], 1_500n)).toEqual(["accept"]);
  });
});
