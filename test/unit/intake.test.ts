import { expect, test } from "vitest";
import { settle, turn } from "../support/world-referee.ts";
import { World } from "../support/world.ts";

test("P2: requests for later that come faster than they are looked for are read all the same", async () => {
  const world = new World({ memory: { requests: 100, bytes: 1 << 20, perLane: 100 } });
  world.connect(false);
  await turn();
  world.returnSweep(false);
  for (let made = 0; made < 30; made++) {
    const transaction = world.insert([{ delayMs: 20 }]);
    world.record(transaction);
    world.reveal(transaction);
    while (world.stream()) world.confirm();
    world.clock.advance(10);
    await turn();
    world.returnSweep(false);
    await turn();
  }
  expect([...world.rows.values()].filter(({ sends }) => sends > 0).length).toBeGreaterThan(10);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("P5: a sweep and what is streamed meanwhile do not take the same room twice", async () => {
  const most = 6;
  const world = new World({ memory: { requests: most, bytes: 1 << 20, perLane: most }, concurrency: 1 });
  const commit = (rows: number): void => world.record(world.insert(Array.from({ length: rows }, () => ({}))));
  const reveal = (): void => {
    for (const one of world.transactions) if (one.at === "recorded") world.reveal(one);
  };
  commit(4);
  reveal();
  world.connect(true);
  await turn();
  world.executeSweep();
  commit(4);
  while (world.stream()) world.confirm();
  reveal();
  world.returnSweep(false);
  await turn();
  const { inMemory } = world.dispatcher.state;
  expect(inMemory).toBeGreaterThan(0);
  expect(inMemory).toBeLessThanOrEqual(most);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("P2 awaitVisibility: a result waits for no transaction of a history that is over", async () => {
  const world = new World({ memory: { requests: 10, bytes: 1 << 20, perLane: 10 } });
  world.connect(false);
  await turn();
  world.returnSweep(false);
  await turn();
  // On the standby these ids are still to come.
  for (let id = 0; id < 10; id++) world.insertElsewhere();
  const lost = world.insert([{}]);
  world.record(lost);
  world.reveal(lost);
  while (world.stream()) world.confirm();
  expect(world.flights).toBe(1);
  world.promote(1);
  await turn();
  world.returnSweep(false);
  world.answer(0);
  await turn();
  expect(world.writes).toBe(1);
  world.writeBack(0);
  expect([world.writes, world.dispatcher.state.inMemory]).toEqual([0, 0]);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("P5: while there is no room, requests for later are watched up to a number, and then left to a sweep", async () => {
  const world = new World({ memory: { requests: 4, bytes: 1 << 20, perLane: 4 }, concurrency: 1 });
  world.connect(false);
  await turn();
  world.returnSweep(false);
  await turn();
  const commit = (rows: Parameters<World["insert"]>[0]): void => {
    const transaction = world.insert(rows);
    world.record(transaction);
    world.reveal(transaction);
    while (world.stream()) world.confirm();
  };
  // Three of four places are taken: too few are free for a sweep.
  commit([{}, {}, {}]);
  const { phase } = world.dispatcher.state;
  for (let made = 0; made < 10_000; made++) commit([{ delayMs: 20 }]);
  expect([phase, world.dispatcher.state.phase]).toEqual(["live", "live"]);
  commit([{ delayMs: 20 }]);
  expect(world.dispatcher.state.phase).toBe("catch-up");
});
