import { expect, test } from "vitest";
import { liveLab } from "../support/intake-lab.ts";
import { turn } from "../support/world-referee.ts";
import { World } from "../support/world.ts";

const MEMORY = { requests: 8, bytes: 1 << 20, perLane: 8 };

/** A world that is live, and in which one request of lane `a` is in flight and seven wait: memory is full. */
async function fullWorld(): Promise<World> {
  const world = new World({ memory: MEMORY, concurrency: 1 });
  world.connect(false);
  await turn();
  world.returnSweep(false);
  await turn();
  commit(world, "a", 8);
  await turn();
  return world;
}

function commit(world: World, lane: string, rows: number): void {
  const transaction = world.insert(Array.from({ length: rows }, () => ({ lane })));
  world.record(transaction);
  world.reveal(transaction);
  while (world.stream()) world.confirm();
}

const sends = (world: World): readonly number[] => [...world.rows.values()].map((row) => row.sends);

test("P2 evictBehind: what was given up for room is read from the outbox within a second, without a new connection", async () => {
  const world = await fullWorld();
  expect(world.dispatcher.state).toMatchObject({ inFlight: 1, queued: 7, lanesBehind: 0 });
  commit(world, "b", 1);
  expect(world.dispatcher.state.lanesBehind).toBe(1);
  for (let second = 0; second < 20; second++) {
    while (world.flights > 0) {
      world.answer(0);
      await turn();
    }
    while (world.writes > 0) world.writeBack(0);
    world.clock.advance(1_000);
    await turn();
    world.returnSweep(false);
    await turn();
  }
  expect(sends(world)).toEqual(Array(9).fill(1));
  expect(world.harms).toEqual([]);
  world.end();
});

test("P3 evictBehind: a lane of which something was given up takes no row from the stream before it was swept", async () => {
  const world = await fullWorld();
  commit(world, "b", 1);
  const { inMemory } = world.dispatcher.state;
  commit(world, "a", 2);
  expect(world.dispatcher.state.inMemory).toBe(inMemory);
  world.end();
});

test("P2 evictBehind: however often lanes are given up, the first is looked after within a second", async () => {
  const lab = await liveLab();
  for (let times = 0; times < 5; times++) {
    lab.intake.givenUp(`l${times}`);
    await lab.pass(200);
  }
  expect([lab.sweeps, lab.intake.isBehind("l0")]).toEqual([1, false]);
});
