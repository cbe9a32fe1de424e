import { describe, expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import type { SweepResult } from "../../src/outbox/sweep.ts";
import { parseSnapshot } from "../../src/pg/snapshot.ts";
import { BUSY, deferOne, FOUND, Lab, LATER, live } from "../support/handoff-lab.ts";
import * as intake from "../support/intake-lab.ts";

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

  test("P5: ids beyond a million that no snapshot lists are not watched: every lane is behind until the next sweep, which has seen them", () => {
    const lab = live({ snapshot: parseSnapshot("100:101:100"), nextXid: 5_000_101n });
    expect([lab.handoff.behind.isEvery, lab.handoff.isWatching]).toEqual([true, false]);
    lab.sweep({ snapshot: parseSnapshot("100:5000102:100"), nextXid: 5_000_103n });
    expect([lab.handoff.behind.isEvery, lab.handoff.isWatching]).toEqual([false, true]);
    expect(lab.handoff.checked(parseSnapshot("5000104:5000104:"))).toBe(true);
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
      lab.handoff.sweepStarts("every");
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

test("P8: a transaction that was in progress when lanes caught up, and then came whole, is looked after no more", async () => {
  const lab = await intake.liveLab(intake.BUSY);
  lab.transaction(110n, [intake.rowOf("a")]);
  lab.snapshot = async () => intake.ENDED;
  await lab.pass(60_000, 1_000);
  expect([lab.accepted.length, lab.snapshots, lab.sweeps]).toEqual([1, 0, 0]);
});

test("P2 watch: one of which a row was left to the outbox, its host being paused, is looked after", async () => {
  const lab = await intake.liveLab(intake.BUSY);
  lab.paused.add("p");
  lab.transaction(110n, [intake.rowOf("p"), intake.rowOf("a")]);
  lab.snapshot = async () => intake.ENDED;
  await lab.pass(50);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual([5_000]);
});

test("P2 watch: one of which a row was given up is looked after, whichever lane that was in", async () => {
  const lab = await intake.liveLab(intake.BUSY);
  lab.transaction(110n, [intake.rowOf("a")], () => {
    lab.intake.givenUp("a");
    lab.intake.commit();
  });
  lab.snapshot = async () => intake.ENDED;
  await lab.pass(50);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual([5_000]);
});

test("P2: a row that was buffered while its host was paused is left to the outbox, and its transaction looked after", async () => {
  const lab = await intake.liveLab(intake.BUSY);
  const answer = Promise.withResolvers<SweepResult>();
  lab.answerOf = () => answer.promise;
  lab.intake.ask();
  await lab.pass(10);
  lab.begin(110n);
  for (const lane of ["p", "a"]) lab.intake.row(intake.rowOf(lane));
  lab.paused.add("p");
  answer.resolve(intake.BUSY);
  await lab.pass(10);
  expect([lab.accepted.map(({ lane }) => lane), lab.dropped]).toEqual([["a"], [["p", 7]]]);
  expect([lab.intake.isBehind("p"), lab.intake.isBehind("a")]).toEqual([true, false]);
  lab.intake.commit();
  lab.answerOf = async () => intake.BUSY;
  lab.snapshot = async () => intake.ENDED;
  const sweeps = lab.plans.filter(({ lanes }) => lanes === 5_000).length;
  await lab.pass(1_000);
  expect(lab.plans.filter(({ lanes }) => lanes === 5_000).length).toBeGreaterThan(sweeps);
});

test("P2 P8: of many calls that have the outbox read some time, each is looked after, and less and less often", async () => {
  const lab = await intake.liveLab();
  for (let xid = 110n; xid < 210n; xid++) {
    lab.transaction(xid, [], () => {
      lab.intake.watch(xid === 110n);
      lab.intake.commit();
    });
    const ended = xid + 1n;
    lab.snapshot = async () => parseSnapshot(`${ended}:${ended}:`);
    lab.answerOf = async () => ({ ...intake.EMPTY, snapshot: parseSnapshot(`${ended}:${ended}:`), nextXid: ended });
    await lab.pass(50, 10);
  }
  expect(lab.sweeps).toBeLessThan(10);
  await lab.pass(10_000);
  const { snapshots, sweeps } = lab;
  await lab.pass(60_000, 1_000);
  expect([lab.snapshots - snapshots, lab.sweeps - sweeps]).toEqual([0, 0]);
});

describe("after a cut", () => {
  test("P2: every lane is behind, and nothing is buffered or watched", () => {
    const lab = live(BUSY);
    lab.handoff.sweepStarts("every");
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
    lab.handoff.sweepStarts("every");
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
