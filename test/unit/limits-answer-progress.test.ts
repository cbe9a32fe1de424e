import fc from "fast-check";
import { expect, test } from "vitest";
import type { AnswerBounds } from "../../src/limits/answer-memory.ts";
import { AnswerWorld, type ServerAnswer } from "../support/answer-world.ts";
import { turn } from "../support/world-referee.ts";

const KB = 1_024;
const BOUNDS: AnswerBounds = { bytes: 6_000 * KB, largest: 1_000 * KB, inFlight: 16, requests: 10_000 };
const CHUNK = 64 * KB;

const anySize = fc.oneof(fc.integer({ min: 0, max: 20 * KB }), fc.integer({ min: 0, max: BOUNDS.largest }));

function answers(locked: fc.Arbitrary<boolean>): fc.Arbitrary<ServerAnswer> {
  return fc.record({
    host: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    bytes: anySize,
    decoded: fc.option(anySize, { freq: 2 }),
    announced: fc.boolean(),
    locked,
  });
}

type Act =
  | { readonly kind: "start"; readonly answer: ServerAnswer }
  | { readonly kind: "step" | "give up"; readonly which: number };

function anyActs(locked: fc.Arbitrary<boolean>): fc.Arbitrary<Act[]> {
  const which = fc.nat(1_000);
  return fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("start" as const), answer: answers(locked) }) },
      { weight: 20, arbitrary: fc.record({ kind: fc.constant("step" as const), which }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("give up" as const), which }) },
    ),
    { minLength: 50, maxLength: 400 },
  );
}

async function play(acts: readonly Act[]): Promise<AnswerWorld> {
  const world = new AnswerWorld(BOUNDS, CHUNK);
  for (const act of acts) {
    if (act.kind === "start") world.start(act.answer);
    else if (act.kind === "step") world.step(act.which);
    else world.giveUp(act.which);
    await turn();
  }
  return world;
}

async function finish(world: AnswerWorld): Promise<void> {
  for (let which = 0; world.step(which); which += 7) await turn();
}

test("P5: whatever servers send, and whoever locks rows, answers take no more than the budget and a chunk for each connection", async () => {
  await fc.assert(
    fc.asyncProperty(anyActs(fc.boolean()), async (acts) => {
      const world = await play(acts);
      await finish(world);
      expect(world.mostBytes).toBeLessThanOrEqual(BOUNDS.bytes + world.slack);
    }),
    { numRuns: 150 },
  );
});

test("answers that each hold a part of the budget never wait for each other: all come to their end", async () => {
  await fc.assert(
    fc.asyncProperty(anyActs(fc.constant(false)), async (acts) => {
      const world = await play(acts);
      await finish(world);
      expect(world.left).toEqual([]);
      expect(world.budget.bytes).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("when locks end, all answers come to their end", async () => {
  await fc.assert(
    fc.asyncProperty(anyActs(fc.boolean()), async (acts) => {
      const world = await play(acts);
      await finish(world);
      world.unlock();
      await finish(world);
      expect(world.left).toEqual([]);
    }),
    { numRuns: 150 },
  );
});

test("P6: small answers of a destination come to their end whatever others send and lock", async () => {
  await fc.assert(
    fc.asyncProperty(anyActs(fc.boolean()), async (acts) => {
      const world = await play(acts.filter(({ kind }) => kind !== "give up"));
      await finish(world);
      fc.pre(world.inFlight < BOUNDS.inFlight);
      const other = { host: "other", bytes: 4 * KB, decoded: null, announced: false, locked: false };
      expect(world.start(other)).toBe(true);
      await finish(world);
      expect(world.stored).toContain("other");
    }),
    { numRuns: 150 },
  );
});

/** Answers of the largest size from twelve destinations, each as far as it may be received beside the others. */
async function halfReceived(): Promise<AnswerWorld> {
  const world = new AnswerWorld(BOUNDS, CHUNK);
  const large = { bytes: BOUNDS.largest, decoded: null, announced: false, locked: false };
  for (let host = 0; host < 12; host += 1) expect(world.start({ host: `large ${host}`, ...large })).toBe(true);
  const waiting = (): number => world.left.filter((answer) => answer.endsWith("waiting")).length;
  for (let step = 0; step < 200 && waiting() < 11; step += 1) {
    world.step(step);
    await turn();
  }
  expect(waiting()).toBe(11);
  return world;
}

test("the largest answers of twelve destinations at once: one after the other comes to its end, within the budget", async () => {
  const world = await halfReceived();
  await finish(world);
  expect(world.stored).toHaveLength(12);
  expect(world.mostBytes).toBeLessThanOrEqual(BOUNDS.bytes + world.slack);
});

test("P6: an answer of middle size does not wait for those of others that are half received", async () => {
  const world = await halfReceived();
  expect(world.budget.mayStart("other")).toBe(true);
  expect(world.budget.open("other").received(150 * KB, null, { goOn: () => undefined })).toBe(true);
});
