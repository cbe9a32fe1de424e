import { expect, test } from "vitest";
import { settle, turn } from "../support/world-referee.ts";
import { World } from "../support/world.ts";

const MEMORY = { requests: 10, bytes: 1 << 20, perLane: 10 };

/** Three rows that are committed and visible, and not streamed yet. */
function commitThree(world: World): void {
  const transaction = world.insert([{}, {}, {}]);
  world.record(transaction);
  world.reveal(transaction);
}

test("P2: what a sweep read before the outbox was truncated is not sent, though its answer comes afterwards", async () => {
  const world = new World({ memory: MEMORY });
  world.connect(false);
  await turn();
  commitThree(world);
  world.executeSweep();
  world.truncate();
  while (world.stream()) world.confirm();
  world.returnSweep(false);
  await turn();
  expect([world.flights, world.dispatcher.state.inMemory]).toEqual([0, 0]);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("P2: what waits in memory when the outbox is truncated is not sent", async () => {
  const world = new World({ memory: MEMORY, concurrency: 1 });
  world.connect(false);
  await turn();
  commitThree(world);
  world.returnSweep(false);
  await turn();
  expect([world.flights, world.dispatcher.state.inMemory]).toEqual([1, 3]);
  world.truncate();
  while (world.stream()) world.confirm();
  world.answer(0);
  await turn();
  expect(world.flights).toBe(0);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("the first sweep of a new connection is made at once, however often those of the one before had failed", async () => {
  const world = new World({ memory: MEMORY });
  commitThree(world);
  world.connect(false);
  await turn();
  for (let failed = 0; failed < 10; failed++) {
    world.clock.advance(5_000);
    await turn();
    world.returnSweep(true);
    await turn();
  }
  world.cut();
  world.connect(false);
  await turn();
  world.returnSweep(false);
  await turn();
  expect(world.flights).toBe(3);
  await settle(world);
  expect(world.harms).toEqual([]);
});
