import { describe, expect, test } from "vitest";
import type { Verdict } from "../../src/intake/handoff.ts";
import { lowXid } from "../../src/pg/xid.ts";
import { deferOne, FOUND, Lab, LATER, live } from "../support/handoff-lab.ts";

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

  test("P5: so many lanes may lose rows while a sweep runs; beyond that every lane has, and nothing is remembered of them", () => {
    const lab = live();
    const found = lab.sweep({}, () => {
      lab.transaction(110n, ["a"]);
      for (let lane = 0; lane <= 20_000; lane++) lab.handoff.givenUp(`l${lane}`);
      expect([lab.handoff.drops("a"), lab.transaction(111n, ["b"])]).toEqual([true, ["drop"]]);
    });
    expect([found, lab.handoff.behind.isEvery, lab.places.bytes.get("a")]).toEqual([[[], ["of a"]], true, 7]);
  });

  test("a report without a sweep leaves every lane behind", () => {
    const lab = live();
    expect(lab.handoff.sweepReturned(FOUND)).toEqual({ accepted: [], dropped: [], hasCaughtUp: false });
    expect(lab.handoff.behind.isEvery).toBe(true);
  });

  test("P2: after a sweep that failed the lanes with buffered rows are behind, and no others", () => {
    const lab = live();
    lab.handoff.sweepStarts("every");
    lab.transaction(110n, ["a", "a"]);
    expect(lab.handoff.sweepFailed().map(({ row }) => row)).toEqual(["of a", "of a"]);
    expect(lab.transaction(111n, ["a", "b"])).toEqual(["drop", "accept"]);
    expect(lab.sweep()).toEqual([[], []]);
  });
});

test("P5: 20,000 lanes that lost rows while a sweep runs are remembered, and with more of them rows of every lane are dropped", () => {
  const verdicts = [20_000, 20_001].map((count) => {
    const lab = new Lab();
    lab.handoff.sweepStarts("every");
    for (let lane = 0; lane < count; lane++) lab.handoff.givenUp(`l${lane}`);
    return lab.transaction(110n, ["l0", "other"]);
  });
  expect(verdicts).toEqual([
    ["drop", "buffer"],
    ["drop", "drop"],
  ]);
});
