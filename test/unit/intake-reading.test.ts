import { expect, test } from "vitest";
import type { SweepResult } from "../../src/outbox/sweep.ts";
import type { Snapshot } from "../../src/pg/snapshot.ts";
import { BUSY, EMPTY, ENDED, liveLab, openLab, rowOf } from "../support/intake-lab.ts";
import { turn } from "../support/world-referee.ts";

test("P8: with nothing to do the outbox is read once, and then neither it nor the transactions in progress", async () => {
  const lab = openLab();
  await lab.pass(600_000, 60_000);
  expect([lab.sweeps, lab.snapshots]).toEqual([1, 0]);
  expect(lab.events).toEqual(["swept", "accepted", "visible"]);
});

test("a sweep begins at the first lane, goes on where the one before it ended, and leaves out what is in memory", async () => {
  const next = Buffer.from("m");
  const lab = openLab(async (sweeps) => ({
    ...EMPTY,
    isWhole: sweeps > 1,
    rows: [rowOf("a")],
    next: sweeps > 1 ? null : next,
  }));
  await lab.pass(200);
  expect(lab.plans.map(({ from, known }) => [from, known.map(({ id }) => id)])).toEqual([
    [null, [7n]],
    [next, [7n]],
  ]);
  lab.intake.cut(true);
  await lab.pass(10);
  expect(lab.plans.at(-1)?.from).toBeNull();
});

test("P2: a row that finds no room is left to a sweep as soon as its lane has some", async () => {
  const lab = await liveLab();
  lab.free = 0;
  lab.transaction(110n, [rowOf("a")]);
  expect([lab.accepted, lab.intake.isBehind("a"), lab.intake.isBehind("b"), lab.intake.lanesBehind]).toEqual([
    [],
    true,
    false,
    1,
  ]);
  await lab.pass(50);
  expect([lab.sweeps, lab.intake.lanesBehind]).toEqual([1, 0]);
});

test("P8: that a lane has room makes no sweep where it is not behind", async () => {
  const lab = await liveLab();
  lab.intake.low("a");
  await lab.pass(10_000);
  expect(lab.sweeps).toBe(0);
});

test("what a sweep left of a lane that could take more is read by the next one at once, and else when the lane has room", async () => {
  const sweeps = await Promise.all(
    [true, false].map(async (isLow) => {
      const lab = await liveLab({ ...EMPTY, left: ["a"], rows: [rowOf("a")] });
      if (isLow) lab.low.add("a");
      lab.intake.ask();
      lab.answerOf = async (sweeps) => ({ ...EMPTY, left: sweeps === 1 ? ["a"] : [], rows: [rowOf("a")] });
      await lab.pass(50);
      return lab.sweeps;
    }),
  );
  expect(sweeps).toEqual([2, 1]);
});

test("P5: rows of a sweep that find no room, or whose host was paused meanwhile, leave their lane behind for some time", async () => {
  const rows = [rowOf("p"), rowOf("a"), rowOf("b")];
  const lab = openLab(async (sweeps) => ({ ...EMPTY, rows: sweeps === 1 ? rows : [] }), 1);
  lab.paused.add("p");
  await turn();
  expect(lab.accepted.map(({ lane }) => lane)).toEqual(["a"]);
  expect([lab.intake.isBehind("a"), lab.intake.isBehind("b"), lab.intake.isBehind("p")]).toEqual([false, true, true]);
  lab.intake.ask();
  await lab.pass(99);
  expect(lab.sweeps).toBe(1);
  await lab.pass(1);
  expect(lab.sweeps).toBe(2);
});

test("P8: sweeps that find nothing though they are asked for follow each other with a pause of five milliseconds", async () => {
  const lab = await liveLab();
  for (let ms = 0; ms < 100; ms += 1) {
    lab.intake.ask();
    await lab.pass(1);
  }
  expect(lab.sweeps).toBeGreaterThan(10);
  expect(lab.sweeps).toBeLessThanOrEqual(21);
});

test("sweeps that bring rows follow each other without a pause", async () => {
  const lab = await liveLab();
  lab.answerOf = async () => ({ ...EMPTY, rows: [rowOf("a")] });
  for (let asked = 0; asked < 10; asked += 1) {
    lab.intake.ask();
    await turn();
  }
  expect(lab.sweeps).toBe(10);
});

test("a row of a paused host is left to the outbox, with its lane behind", async () => {
  const lab = await liveLab();
  lab.paused.add("p");
  lab.transaction(110n, [rowOf("p"), rowOf("a")]);
  expect([lab.accepted.map(({ lane }) => lane), lab.intake.isBehind("p"), lab.intake.isBehind("a")]).toEqual([
    ["a"],
    true,
    false,
  ]);
});

test("P2 awaitVisibility: a streamed row has its transaction with it, which a failover ends, and a swept one has none", async () => {
  const lab = await liveLab({ ...EMPTY, rows: [rowOf("swept")] });
  lab.transaction(110n, [rowOf("a")]);
  const [swept, streamed] = lab.accepted.map(({ insertedBy }) => insertedBy);
  expect([swept, streamed?.xid, streamed?.history.aborted]).toEqual([null, 110, false]);
  lab.intake.cut(true);
  expect(streamed?.history.aborted).toBe(false);
  lab.intake.cut(false);
  expect(streamed?.history.aborted).toBe(true);
  await lab.pass(10);
  lab.transaction(111n, [rowOf("b")]);
  expect(lab.accepted.at(-1)?.insertedBy?.history.aborted).toBe(false);
});

test("P3: rows that are streamed while a sweep runs are accepted after it, and dropped where it fails or the stream is cut", async () => {
  const ends = ["returned", "failed", "cut"] as const;
  const outcomes = await Promise.all(
    ends.map(async (end) => {
      const lab = await liveLab();
      const answer = Promise.withResolvers<SweepResult>();
      lab.answerOf = () => answer.promise;
      lab.intake.ask();
      await turn();
      lab.transaction(110n, [rowOf("a")]);
      expect(lab.accepted).toEqual([]);
      if (end === "cut") lab.intake.cut(true);
      lab.answerOf = async () => EMPTY;
      if (end === "failed") answer.reject(new Error("away"));
      else answer.resolve({ ...EMPTY, rows: [rowOf("b")] });
      await turn();
      return { accepted: lab.accepted.map(({ lane, insertedBy }) => [lane, insertedBy?.xid]), dropped: lab.dropped };
    }),
  );
  expect(outcomes).toEqual([
    {
      accepted: [
        ["b", undefined],
        ["a", 110],
      ],
      dropped: [],
    },
    { accepted: [], dropped: [["a", 7]] },
    { accepted: [], dropped: [["a", 7]] },
  ]);
});

test("P2: a sweep that failed is tried again, later each time, and its owner hears which lanes are behind", async () => {
  const lab = await liveLab();
  lab.answerOf = () => Promise.reject(new Error("away"));
  lab.intake.ask();
  await turn();
  expect([lab.sweeps, lab.events, lab.intake.unread]).toEqual([1, ["swept"], null]);
  await lab.pass(49);
  expect(lab.sweeps).toBe(1);
  await lab.pass(1);
  expect(lab.sweeps).toBe(2);
  await lab.pass(100);
  expect([lab.sweeps, lab.intake.unread]).toEqual([3, expect.stringContaining("3 times in a row: away")]);
  lab.answerOf = async () => EMPTY;
  await lab.pass(200);
  expect([lab.sweeps, lab.intake.unread]).toEqual([4, null]);
  expect(lab.logged.lines.map(({ message }) => message)).toEqual([
    "the outbox could not be read; trying again",
    "the outbox is read again",
  ]);
});

test("P2: a cut while a sweep fails leaves every lane behind, and the outbox is read anew at once", async () => {
  const lab = await liveLab();
  const answer = Promise.withResolvers<SweepResult>();
  lab.answerOf = () => answer.promise;
  lab.intake.ask();
  await turn();
  lab.intake.cut(true);
  lab.answerOf = async () => EMPTY;
  answer.reject(new Error("away"));
  await turn();
  expect(lab.events).toEqual(["swept, every behind"]);
  await lab.pass(50);
  expect([lab.sweeps, lab.intake.lanesBehind]).toEqual([2, 0]);
});

test("P2 watch: a transaction in progress is looked after until it has ended, and then the outbox is read", async () => {
  const lab = await liveLab(BUSY);
  expect(lab.events).not.toContain("visible");
  // Ten of fifty milliseconds are over.
  await lab.pass(39);
  expect(lab.snapshots).toBe(0);
  await lab.pass(1);
  expect([lab.snapshots, lab.sweeps]).toEqual([1, 0]);
  await lab.pass(99);
  expect(lab.snapshots).toBe(1);
  lab.snapshot = async () => ENDED;
  lab.answerOf = async () => ({ ...EMPTY, snapshot: ENDED, nextXid: 111n });
  await lab.pass(1);
  expect([lab.snapshots, lab.sweeps]).toEqual([2, 1]);
  await lab.pass(600_000, 10_000);
  expect([lab.snapshots, lab.sweeps, lab.events.at(-1)]).toEqual([2, 1, "visible"]);
});

test("P8: a transaction that stays open is looked after every five seconds at most", async () => {
  const lab = await liveLab(BUSY);
  await lab.pass(60_000, 50);
  expect(lab.snapshots).toBeGreaterThan(14);
  expect(lab.snapshots).toBeLessThan(22);
  expect(lab.sweeps).toBe(0);
});

test("P2 watch: transactions that cannot be read are read again, which is logged once", async () => {
  const lab = await liveLab(BUSY);
  lab.snapshot = () => Promise.reject(new Error("away"));
  await lab.pass(1_000, 50);
  expect(lab.snapshots).toBeGreaterThan(2);
  lab.snapshot = async () => BUSY.snapshot;
  await lab.pass(2_000, 50);
  expect(lab.logged.lines.map(({ message }) => message)).toEqual([
    "transactions in progress could not be read; trying again",
    "transactions in progress are read again",
  ]);
});

test("P2: a snapshot from before a cut asks for nothing", async () => {
  const lab = await liveLab(BUSY);
  const answer = Promise.withResolvers<Snapshot>();
  lab.snapshot = () => answer.promise;
  await lab.pass(50);
  expect(lab.snapshots).toBe(1);
  lab.reading = "none";
  lab.intake.cut(true);
  lab.reading = "streaming";
  lab.answerOf = async () => ({ ...BUSY, snapshot: BUSY.snapshot });
  answer.resolve(ENDED);
  await turn();
  expect(lab.sweeps).toBe(1);
});

test("P2 later: a row for later is left to the outbox, which is read when its transaction is visible, and when it is due", async () => {
  const lab = await liveLab();
  lab.transaction(110n, [rowOf("a", "infinity")]);
  expect(lab.accepted).toEqual([]);
  lab.snapshot = async () => ENDED;
  lab.answerOf = async (sweeps) => ({
    ...EMPTY,
    snapshot: ENDED,
    nextXid: 111n,
    nextDueMs: sweeps === 1 ? 5_000 : null,
  });
  await lab.pass(50);
  expect([lab.snapshots, lab.sweeps]).toEqual([1, 1]);
  await lab.pass(4_999);
  expect(lab.sweeps).toBe(1);
  await lab.pass(1);
  expect(lab.sweeps).toBe(2);
  await lab.pass(60_000, 1_000);
  expect(lab.sweeps).toBe(2);
});

test("P2: of two due times the earlier one counts", async () => {
  const sweeps = await Promise.all(
    [
      [300, 5_000],
      [5_000, 300],
    ].map(async (due) => {
      const lab = await liveLab();
      for (const ms of due) lab.intake.dueIn(ms);
      await lab.pass(300);
      return lab.sweeps;
    }),
  );
  expect(sweeps).toEqual([1, 1]);
});

test("P2 evictBehind: a lane that was given up is behind, and looked after within a second", async () => {
  const lab = await liveLab();
  lab.intake.givenUp("a");
  expect([lab.intake.isBehind("a"), lab.intake.isBehind("b")]).toEqual([true, false]);
  await lab.pass(999);
  expect(lab.sweeps).toBe(0);
  await lab.pass(1);
  expect([lab.sweeps, lab.intake.isBehind("a")]).toEqual([1, false]);
});

test("P2: a lane of which a row stays in the outbox is looked after within a second, since it may be for a while only", async () => {
  const lab = await liveLab();
  lab.paused.add("a");
  lab.transaction(110n, [rowOf("a")]);
  expect(lab.intake.isBehind("a")).toBe(true);
  lab.paused.clear();
  await lab.pass(1_000);
  expect([lab.sweeps, lab.intake.isBehind("a")]).toEqual([1, false]);
});

test("P2: a row that was left unread is watched, as one that was dropped", async () => {
  const lab = await liveLab({ ...BUSY, left: ["a"], rows: [rowOf("a")] });
  lab.transaction(110n, [], () => {
    expect([lab.intake.drops("a"), lab.intake.drops("b")]).toEqual([true, false]);
    lab.intake.skip();
    lab.intake.commit();
  });
  lab.snapshot = async () => ENDED;
  await lab.pass(50);
  expect(lab.sweeps).toBe(1);
});

test("P8: between two transactions rows are dropped, and nothing is read for them", async () => {
  const lab = await liveLab();
  expect(lab.intake.drops("a")).toBe(true);
  lab.intake.row(rowOf("a"));
  await lab.pass(10_000);
  expect([lab.accepted, lab.sweeps]).toEqual([[], 0]);
});

test("the reader goes on when it hears that its next step is earlier than it expects", async () => {
  const lab = await liveLab();
  lab.reading = "none";
  lab.intake.ask();
  await lab.pass(100);
  expect(lab.sweeps).toBe(0);
  lab.reading = "streaming";
  await lab.pass(100);
  expect(lab.sweeps).toBe(0);
  lab.intake.changed();
  await lab.pass(1);
  expect(lab.sweeps).toBe(1);
});

test("P2: the reader goes on earlier than the time until which it waits, where that has changed", async () => {
  const lab = await liveLab();
  lab.intake.dueIn(5_000);
  await turn();
  lab.reading = "polling";
  lab.intake.changed();
  await lab.pass(990);
  expect(lab.sweeps).toBe(1);
});

test("without a stream the outbox is read each second", async () => {
  const lab = await liveLab();
  lab.reading = "polling";
  lab.intake.changed();
  await lab.pass(10_000);
  expect(lab.sweeps).toBe(10);
});

test("P5: while memory is full and every lane is behind, the outbox is read ten times a second", async () => {
  const lab = await liveLab();
  lab.hasRoom = false;
  lab.intake.cut(true);
  lab.answerOf = async () => ({ ...EMPTY, isWhole: false });
  await lab.pass(1_000);
  expect(lab.sweeps).toBeGreaterThanOrEqual(9);
  expect(lab.sweeps).toBeLessThanOrEqual(11);
});

test("P8: where every lane is behind and sweeps bring nothing, they take no more than a third of the time", async () => {
  const lab = openLab(async () => {
    lab.clock.advance(30);
    return { ...EMPTY, isWhole: false };
  });
  await lab.pass(900);
  // Of 60 ms each beside the 30 of the sweep.
  expect(lab.sweeps).toBeGreaterThanOrEqual(14);
  expect(lab.sweeps).toBeLessThanOrEqual(16);
});

test("what is watched is checked soon after each sweep by which a lane has caught up", async () => {
  const lab = await liveLab(BUSY);
  await lab.pass(20_000);
  const before = lab.snapshots;
  lab.answerOf = async (sweeps) => ({ ...BUSY, left: sweeps === 1 ? ["a"] : [] });
  lab.intake.ask();
  await lab.pass(10);
  expect(lab.snapshots - before).toBe(0);
  lab.intake.ask();
  await lab.pass(60);
  expect(lab.snapshots - before).toBe(1);
});
