import { expect, test } from "vitest";
import { StreamStall } from "../../src/intake/stream-stall.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { lowXid } from "../../src/pg/xid.ts";
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

/** A world that is live and idle. */
async function idleWorld(): Promise<World> {
  const world = new World({ memory: { requests: 10, bytes: 1 << 20, perLane: 10 } });
  world.connect(false);
  await turn();
  world.returnSweep(false);
  await turn();
  return world;
}

/** One row that is committed, and not streamed yet. */
function commitOne(world: World): void {
  const transaction = world.insert([{}]);
  world.record(transaction);
  world.reveal(transaction);
}

/** The requests in flight after `ms` more, if only a sweep can bring any. */
async function flightsAfter(world: World, ms: number): Promise<number> {
  world.clock.advance(ms);
  await turn();
  world.returnSweep(false);
  await turn();
  return world.flights;
}

test("P6: while the server does not answer, the outbox is swept", async () => {
  const world = await idleWorld();
  commitOne(world);
  world.dispatcher.asked();
  await turn();
  expect(await flightsAfter(world, 99)).toBe(0);
  expect(await flightsAfter(world, 1)).toBe(1);
  commitOne(world);
  expect(await flightsAfter(world, 25)).toBe(2);
  world.dispatcher.answered(lsn(0n));
  world.dispatcher.asked();
  world.dispatcher.answered(lsn(1n << 40n));
  await turn();
  commitOne(world);
  expect(await flightsAfter(world, 60_000)).toBe(2);
  await settle(world);
  expect(world.harms).toEqual([]);
});

test("P6: while anything of a large transaction comes, the outbox is swept", async () => {
  const world = await idleWorld();
  // It has no row of the outbox; logical messages, for example.
  world.dispatcher.begin({ xid: lowXid(world.insertElsewhere().xid), commitLsn: lsn(1n << 20n) });
  commitOne(world);
  world.dispatcher.heard(0);
  expect(await flightsAfter(world, 21)).toBe(0);
  world.dispatcher.heard(0);
  await turn();
  expect(await flightsAfter(world, 25)).toBe(1);
  world.dispatcher.commit();
  await turn();
  commitOne(world);
  expect(await flightsAfter(world, 60_000)).toBe(1);
});

test("P6: a stall lasts until the stream has come as far as the outbox was swept when the server was asked", () => {
  const stall = new StreamStall();
  stall.asked(1_000);
  expect(stall.since).toBe(1_100);
  stall.swept(1_100, lsn(1_000_000n));
  stall.answered(3_000, lsn(500_000n));
  expect(stall.since).toBe(1_100);
  stall.asked(3_400);
  stall.swept(3_401, lsn(2_000_000n));
  stall.answered(3_402, lsn(900_000n));
  expect(stall.since).toBe(1_100);
  stall.asked(3_800);
  stall.swept(3_801, lsn(3_000_000n));
  stall.answered(3_802, lsn(2_000_000n));
  expect(stall.since).toBeNull();
});

test("P8: a server that takes long for each answer, being far away, is not taken for stalled each time", () => {
  const stall = new StreamStall();
  stall.asked(1_000);
  stall.answered(1_200, lsn(0n));
  stall.asked(2_000);
  expect(stall.since).toBe(2_400);
});

test("P8: transactions that come are no stall, however late the answer behind them is", () => {
  const stall = new StreamStall();
  stall.asked(1_000);
  stall.begin(1_090);
  stall.commit(1_091);
  expect(stall.since).toBe(1_191);
});
