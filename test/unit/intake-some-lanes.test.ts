import { expect, test } from "vitest";
import { LATER, live } from "../support/handoff-lab.ts";
import { BUSY, EMPTY, ENDED, liveLab, openLab, rowOf } from "../support/intake-lab.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { parseSnapshot } from "../../src/pg/snapshot.ts";

const OF_A = new Set(["a"]);
/** Transaction 110 is in progress, and 105 has ended. */
const LATE = { snapshot: parseSnapshot("110:111:110"), nextXid: 111n };

test("P6: while lane a is swept the stream's rows of others go to sending at once", () => {
  const lab = live();
  const verdicts: unknown[] = [];
  lab.sweep({}, () => void verdicts.push(lab.transaction(110n, ["a", "b"])), OF_A);
  expect(verdicts).toEqual([["buffer", "accept"]]);
});

test("P2, P3: the snapshot of a sweep of lane a says nothing of others", () => {
  const lab = live();
  lab.sweep(LATER, undefined, OF_A);
  expect([lab.transaction(115n, ["a", "b"]), lab.transaction(125n, ["a", "b"])]).toEqual([
    ["drop", "accept"],
    ["accept", "accept"],
  ]);
});

test("P3: after a sweep of lane a the snapshot of the one of every lane still counts for others", () => {
  const lab = live({ ...LATER, snapshot: parseSnapshot("112:112:") });
  lab.sweep({ ...LATER, snapshot: parseSnapshot("116:116:") }, undefined, OF_A);
  expect([111n, 115n].map((xid) => lab.transaction(xid, ["a", "b"]))).toEqual([
    ["drop", "drop"],
    ["drop", "accept"],
  ]);
});

test("P3: a sweep of every lane counts for all, also for one that was swept alone before", () => {
  const lab = live();
  lab.sweep({ ...LATER, snapshot: parseSnapshot("112:112:") }, undefined, OF_A);
  lab.sweep({ ...LATER, snapshot: parseSnapshot("116:116:") });
  expect(lab.transaction(115n, ["a", "b"])).toEqual(["drop", "drop"]);
});

test("the snapshot of a sweep of lane a is forgotten once the stream has passed it", () => {
  const lab = live();
  lab.sweep(LATER, undefined, OF_A);
  expect(lab.transaction(115n, ["a"], LATER.insertLsn - 1n)).toEqual(["drop"]);
  expect(lab.transaction(115n, ["a"], LATER.insertLsn)).toEqual(["accept"]);
});

test("P2: what is watched stays so while lane a alone is swept, and a lane that catches up so adds to it", () => {
  const lab = live({ ...LATE, left: OF_A });
  lab.sweep({ ...LATE, left: OF_A }, undefined, OF_A);
  expect(lab.handoff.checked(ENDED)).toBe(true);
  lab.sweep(LATER, undefined, OF_A);
  expect(lab.handoff.checked(ENDED)).toBe(true);
  lab.sweep(LATER);
  expect([lab.handoff.isWatching, lab.handoff.checked(ENDED)]).toEqual([false, false]);
  lab.sweep({ ...LATER, left: OF_A });
  lab.sweep({ ...LATER, snapshot: parseSnapshot("121:122:121"), nextXid: 122n }, undefined, OF_A);
  expect(lab.handoff.checked(parseSnapshot("122:122:"))).toBe(true);
});

test("P2: a sweep of lane a leaves others behind that are, and one that loses rows meanwhile", () => {
  const lab = live({ left: new Set(["a", "b"]) });
  lab.sweep({}, () => lab.handoff.givenUp("c"), OF_A);
  expect([...lab.handoff.behind.lanes]).toEqual(["b", "c"]);
  expect(lab.transaction(110n, ["a", "b", "c"])).toEqual(["accept", "drop", "drop"]);
});

test("P5: with the snapshots of more than 20,000 lanes every lane is behind", () => {
  const lab = live();
  const lanes = Array.from({ length: 20_000 }, (_, lane) => `l${lane}`);
  const { insertLsn } = LATER;
  lab.sweep({ insertLsn }, undefined, new Set(lanes));
  expect(lab.handoff.behind.count).toBe(0);
  lab.sweep({ insertLsn }, undefined, new Set(["more"]));
  expect([lab.handoff.behind.isEvery, lab.transaction(110n, ["more"])]).toEqual([true, ["drop"]]);
});

test("P6: the lanes that are behind are swept alone, and what comes of others meanwhile is sent at once", async () => {
  const lab = await liveLab({ ...EMPTY, left: ["a"] });
  const answer = Promise.withResolvers<typeof EMPTY>();
  lab.answerOf = () => answer.promise;
  lab.low.add("a");
  lab.intake.low("a");
  await lab.pass(100);
  expect(lab.plans.map(({ lanes, shares }) => [lanes, shares.map(({ lane }) => lane)])).toEqual([["shares", ["a"]]]);
  lab.transaction(120n, [rowOf("a"), rowOf("b")]);
  expect(lab.accepted.map(({ lane }) => lane)).toEqual(["b"]);
  answer.resolve({ ...EMPTY, rows: [rowOf("a")] });
  await lab.pass(1);
  expect(lab.accepted.map(({ lane }) => lane)).toEqual(["b", "a", "a"]);
  expect(lab.intake.lanesBehind).toBe(0);
});

test("lanes that are behind and have no room are looked after again, 100 ms later while memory is full", async () => {
  const lab = await liveLab({ ...EMPTY, left: ["a"] });
  lab.hasRoom = false;
  lab.low.add("a");
  lab.full.add("a");
  lab.intake.low("a");
  await lab.pass(250);
  expect(lab.sweeps).toBe(0);
  lab.full.clear();
  await lab.pass(100);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual(["shares"]);
});

test("P6: while the stream is stalled lanes of responsive hosts are swept alone between sweeps of every lane", async () => {
  const lab = await liveLab();
  lab.responsive.push("quick");
  lab.begin(130n);
  await lab.pass(21);
  lab.intake.received();
  await lab.pass(25, 1);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual(["shares", 5_000, "shares", "shares", 5_000]);
});

test("P2: what is asked for by a check is a sweep of every lane", async () => {
  const lab = await liveLab({ ...BUSY, left: ["a"] });
  lab.snapshot = async () => ENDED;
  lab.answerOf = async () => ({ ...EMPTY, left: ["a"], snapshot: ENDED, nextXid: 111n });
  await lab.pass(200);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual([5_000]);
});

test("a sweep of some lanes leaves due times as they are", async () => {
  const lab = openLab(async () => ({ ...EMPTY, left: ["a"], nextDueMs: 300 }));
  await lab.pass(10);
  lab.answerOf = async () => EMPTY;
  lab.low.add("a");
  lab.intake.low("a");
  await lab.pass(200);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual([5_000, "shares"]);
  await lab.pass(100);
  expect(lab.plans.at(-1)?.lanes).toBe(5_000);
});

test("P2: however often lanes catch up, what is watched is checked", async () => {
  const lab = await liveLab();
  lab.snapshot = async () => BUSY.snapshot;
  lab.answerOf = async () => BUSY;
  for (let times = 0; times < 20; times++) {
    lab.intake.givenUp("m");
    lab.low.add("m");
    lab.intake.low("m");
    await lab.pass(30, 10);
  }
  expect(lab.snapshots).toBeGreaterThan(2);
});

test("P2: where more than 20,000 lanes are behind while some are swept, every lane is behind after it", () => {
  const lab = live();
  for (let lane = 0; lane < 20_000; lane++) lab.handoff.givenUp(`l${lane}`);
  lab.sweep({}, () => lab.handoff.givenUp("one more"), OF_A);
  expect([lab.handoff.behind.isEvery, lab.handoff.behind.has("l5")]).toEqual([true, true]);
});

test("P2: where a lane that is behind has no name that can be read, every lane is swept", async () => {
  const lab = await liveLab({ ...EMPTY, left: [""] });
  lab.intake.low("");
  await lab.pass(100);
  expect(lab.plans.map(({ lanes }) => lanes)).toEqual([5_000]);
});

test("P6: a sweep of every lane in a stall leaves those that are behind wanted", async () => {
  const lab = await liveLab({ ...EMPTY, left: ["a"] });
  lab.answerOf = async () => ({ ...EMPTY, left: ["a"] });
  lab.begin(130n);
  await lab.pass(21);
  lab.intake.givenUp("a");
  lab.intake.received();
  await lab.pass(1_100, 1);
  expect(lab.plans.filter(({ lanes, shares }) => lanes === "shares" && shares[0]?.lane === "a")).toHaveLength(1);
});

test("P2: a lane of a responsive host that a sweep left in a stall, with nothing queued of it, is read after the stall", async () => {
  const lab = await liveLab();
  lab.responsive.push("quick");
  lab.low.add("quick");
  lab.answerOf = async () => ({ ...EMPTY, left: lab.plans.at(-1)?.lanes === "shares" ? ["quick"] : [] });
  lab.begin(130n);
  await lab.pass(21);
  lab.intake.received();
  await lab.pass(100, 1);
  while (!lab.intake.isBehind("quick")) await lab.pass(1);
  lab.intake.commit();
  lab.intake.asked();
  lab.intake.answered(lsn(100_000n));
  lab.answerOf = async () => EMPTY;
  await lab.pass(1_000);
  expect(lab.intake.lanesBehind).toBe(0);
});

test("P2: after a sweep of some lanes the next one of every lane goes on where the last of these ended", async () => {
  const next = Buffer.from("m");
  const lab = await liveLab({ ...EMPTY, left: ["a"], next });
  lab.intake.low("a");
  await lab.pass(100);
  lab.intake.ask();
  await lab.pass(100);
  expect(lab.plans.map(({ lanes, from }) => [lanes, from])).toEqual([
    ["shares", null],
    [5_000, next],
  ]);
});

test("P8: that a lane has room which is not behind makes no sweep of those that are", async () => {
  const lab = await liveLab({ ...EMPTY, left: ["b"] });
  lab.intake.low("a");
  await lab.pass(10_000);
  expect(lab.sweeps).toBe(0);
});

test("P2: a lane that had no room when others were swept is read when it has some", async () => {
  const lab = await liveLab({ ...EMPTY, left: ["a", "full"] });
  lab.full.add("full");
  lab.low.add("full");
  lab.intake.low("a");
  await lab.pass(50);
  expect(lab.intake.isBehind("full")).toBe(true);
  lab.full.clear();
  await lab.pass(1_000);
  expect(lab.intake.lanesBehind).toBe(0);
});
