import { getEventListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { watchPublications, type WatchedStream } from "../../src/replication/publication-watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

/** A watch beside a stream whose position, and a server whose publications, the test changes. */
function watched(): {
  readonly world: { position: bigint; version: string; fails: boolean; asked: number; streams: boolean };
  /** Lets seconds pass. */
  readonly pass: (seconds: number) => Promise<void>;
  readonly begin: (signal: AbortSignal) => Promise<void>;
} {
  const world = { position: 1n, version: "1", fails: false, asked: 0, streams: true };
  const clock = new FakeClock();
  const query = async (): Promise<unknown> => {
    world.asked++;
    if (world.fails) throw new Error("away");
    return { rows: [{ version: world.version }], rowCount: 1 };
  };
  const stream = (): WatchedStream | null => (world.streams ? { position: lsn(world.position), published: "1" } : null);
  const db = { query } as Queryable;
  const begin = watchPublications({ publications: PUBLICATIONS, stream, db, clock, log: silentLog });
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1_000);
      await turn();
    }
  };
  return { world, pass, begin };
}

test("P8: publications are checked each three seconds while the server writes to its log, and else once a minute", async () => {
  const { world, pass, begin } = watched();
  const stop = new AbortController();
  const ended = begin(stop.signal);
  await pass(59);
  // Once for what there was at the start.
  expect(world.asked).toBe(1);
  await pass(60);
  expect(world.asked).toBe(2);
  world.asked = 0;
  for (let times = 0; times < 10; times++) {
    world.position++;
    await pass(3);
  }
  expect(world.asked).toBe(10);
  world.streams = false;
  world.position++;
  await pass(120);
  expect(world.asked).toBe(10);
  stop.abort();
  await ended;
});

test("P2: a change of the publications ends the stream within seconds of its commit, and within a minute where that is visible later", async () => {
  for (const [later, seconds] of [
    [0, 3],
    [6, 60],
  ] as const) {
    const { world, pass, begin } = watched();
    let failure: unknown = null;
    const ended = begin(new AbortController().signal).catch((error: unknown) => {
      failure = error;
    });
    await pass(9);
    world.position++;
    await pass(later);
    world.version = "2";
    expect(failure).toBeNull();
    await pass(seconds);
    expect(failure).toMatchObject({ code: "STREAM_LOST" });
    await ended;
  }
});

test("a check that failed is made again, though nothing was written since", async () => {
  const { world, pass, begin } = watched();
  const stop = new AbortController();
  const ended = begin(stop.signal);
  world.fails = true;
  await pass(9);
  expect(world.asked).toBe(3);
  world.fails = false;
  await pass(9);
  expect(world.asked).toBe(4);
  stop.abort();
  await ended;
});

test("P5: however often the publications were checked, nothing of it is left at the signal of the session", async () => {
  const { world, pass, begin } = watched();
  const stop = new AbortController();
  const ended = begin(stop.signal);
  for (let times = 0; times < 20; times++) {
    world.position++;
    await pass(3);
  }
  expect(world.asked).toBe(20);
  expect(getEventListeners(stop.signal, "abort").length).toBeLessThanOrEqual(1);
  stop.abort();
  await ended;
});
