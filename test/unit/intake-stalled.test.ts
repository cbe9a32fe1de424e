import { expect, test } from "vitest";
import type { SweepResult } from "../../src/outbox/sweep.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { EMPTY, type IntakeLab, liveLab, rowOf } from "../support/intake-lab.ts";
import { turn } from "../support/world-referee.ts";

/** A lab that is live, and whose stream has been receiving one transaction for 30 ms. */
async function stalledLab(answer: SweepResult): Promise<IntakeLab> {
  const lab = await liveLab();
  lab.answerOf = async () => answer;
  lab.room.rows = 500;
  lab.begin(110n);
  lab.clock.advance(30);
  lab.intake.received();
  await turn();
  return lab;
}

test("P6: while the stream is stalled sweeps of every lane bring little, and leave those that are behind to their own", async () => {
  const lab = await stalledLab({ ...EMPTY, left: ["a"], rows: [rowOf("a")] });
  await lab.pass(30);
  lab.intake.low("a");
  await lab.pass(30);
  const sweeps = lab.plans.map(({ lanes, rows, shares }) => [lanes, rows, shares.map(({ room }) => room)]);
  expect(sweeps).toEqual([
    [5_000, 100, []],
    [5_000, 100, [0]],
    ["shares", 500, [10]],
    [5_000, 100, [0]],
  ]);
});

test("P6: and few lanes where every lane is behind", async () => {
  const lab = await stalledLab({ ...EMPTY, isWhole: false, rows: [rowOf("a")], next: Buffer.from("m") });
  await lab.pass(60);
  expect(lab.plans.map(({ lanes, rows }) => [lanes, rows])).toEqual([
    [5_000, 100],
    [50, 100],
    [50, 100],
  ]);
});

test("P6: where what is queued lasts for seconds a lane that is to be read soon is read before the others would be", async () => {
  const lab = await liveLab();
  lab.isStocked = true;
  lab.answerOf = async () => {
    lab.clock.advance(20);
    return { ...EMPTY, left: ["a", "b"], rows: [rowOf("a")] };
  };
  lab.intake.ask();
  await lab.pass(10);
  lab.intake.low("a");
  await lab.pass(100);
  expect(lab.sweeps).toBe(1);
  lab.soon.add("b");
  lab.intake.low("b");
  await turn();
  expect(lab.sweeps).toBe(2);
  lab.intake.low("a");
  await lab.pass(100);
  expect(lab.sweeps).toBe(2);
  await lab.pass(300);
  expect(lab.sweeps).toBe(3);
});

test.each<[what: string, come: (lab: IntakeLab) => void]>([
  ["that are read", (lab) => lab.intake.row(rowOf("a"))],
  ["that are left unread", (lab) => lab.intake.skip()],
])("P6: rows %s say that a transaction is large, and the outbox is swept meanwhile", async (_what, come) => {
  const lab = await liveLab();
  lab.begin(110n);
  lab.clock.advance(20);
  come(lab);
  await lab.pass(100);
  expect(lab.sweeps).toBe(0);
  come(lab);
  await lab.pass(1);
  expect(lab.sweeps).toBe(1);
});

test("P6, P8: the outbox is swept until the stream has come as far as that, and not any longer", async () => {
  const lab = await liveLab();
  lab.answerOf = async () => ({ ...EMPTY, insertLsn: lsn(1_000_000n) });
  lab.intake.asked();
  await lab.pass(150);
  lab.intake.answered(lsn(0n));
  const sweepsIn = async (ms: number): Promise<number> => {
    const { sweeps } = lab;
    await lab.pass(ms);
    return lab.sweeps - sweeps;
  };
  expect(await sweepsIn(1_000)).toBeGreaterThan(10);
  lab.intake.asked();
  lab.intake.answered(lsn(999_000n));
  expect(await sweepsIn(60_000)).toBe(0);
});

test("P6: in a stall lanes of responsive hosts are swept alone, though a lane is behind whose name no client can read", async () => {
  const lab = await liveLab({ ...EMPTY, left: [""] });
  lab.answerOf = async () => ({ ...EMPTY, left: [""] });
  lab.responsive.push("quick");
  lab.begin(110n);
  lab.clock.advance(30);
  lab.intake.received();
  await lab.pass(100, 1);
  const named = lab.plans.filter(({ lanes }) => lanes === "shares").map(({ shares }) => shares[0]?.lane);
  expect(named.length).toBeGreaterThan(3);
  expect(new Set(named)).toEqual(new Set(["quick"]));
});

test("P6: a lane that is to be read soon, and of which a sweep left rows with nothing queued, is read before the others would be", async () => {
  const sweeps = await Promise.all(
    [true, false].map(async (isSoon) => {
      const lab = await liveLab();
      lab.isStocked = true;
      lab.low.add("b");
      if (isSoon) lab.soon.add("b");
      lab.answerOf = async () => {
        lab.clock.advance(20);
        return { ...EMPTY, left: ["b"], rows: [rowOf("a")] };
      };
      lab.intake.ask();
      await lab.pass(60);
      return lab.sweeps;
    }),
  );
  expect(sweeps).toEqual([2, 1]);
});
