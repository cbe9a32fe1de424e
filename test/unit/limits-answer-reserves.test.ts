import { expect, test } from "vitest";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import type { AnswerMemory } from "../../src/limits/answer-memory.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

const MB = 1 << 20;
const BOUNDS = { bytes: 64 * MB, largest: 10 * MB, inFlight: 256, requests: 10_000 };
const whenever = { goOn: (): void => undefined };

/** Answers of `bytes` for `host`, whole, as many as there is room for. */
function fill(budget: AnswerBudget, host: string, bytes: number): AnswerMemory[] {
  const answers: AnswerMemory[] = [];
  while (budget.mayStart(host)) {
    const memory = budget.open(host);
    answers.push(memory);
    if (!memory.received(bytes, bytes, whenever)) break;
    memory.finish(bytes);
  }
  return answers;
}

test("P5: answers that are given up, in a reserve, too, leave as much room as there was before", async () => {
  const budget = new AnswerBudget({ bounds: BOUNDS, clock: new FakeClock(), onRoom: () => undefined });
  const fullBytes: number[] = [];
  for (let round = 0; round < 10; round++) {
    const all = Array.from({ length: 200 }, (_, host) => fill(budget, `h${host}`, MB)).flat();
    fullBytes.push(budget.bytes);
    for (const answer of all.toReversed()) answer.release();
    await turn();
  }
  expect([budget.bytes, ...new Set(fullBytes)]).toEqual([0, fullBytes[0]]);
});
