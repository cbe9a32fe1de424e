import { expect, test } from "vitest";
import type { SweepResult } from "../../src/outbox/sweep.ts";
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
