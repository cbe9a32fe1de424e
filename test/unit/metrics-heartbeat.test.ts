import { expect, it, test } from "vitest";
import { Heartbeat, HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";

interface Beats {
  readonly heartbeat: Heartbeat;
  readonly clock: FakeClock;
  readonly meter: HeartbeatMeter;
  /** What was written, in order. */
  readonly written: readonly string[];
  /** Writes one after `ms` more, where one is due. */
  readonly after: (ms: number, work: number) => Promise<number>;
}

/** Heartbeats on a fake clock, whose statements end as `answer` does. */
function beats(answer: () => Promise<void> = async () => undefined): Beats {
  const clock = new FakeClock();
  const meter = new HeartbeatMeter();
  const written: string[] = [];
  const db: Queryable = {
    async query({ values = [] }) {
      written.push(String(values[0]));
      await answer();
      return { rows: [], rowCount: 1 };
    },
  };
  const heartbeat = new Heartbeat({ db, meter, clock, log: silentLog });
  const after = async (ms: number, work: number): Promise<number> => {
    clock.advance(ms);
    heartbeat.beat(work);
    await turn();
    return written.length;
  };
  return { heartbeat, clock, meter, written, after };
}

test("P8: a heartbeat is written each ten seconds while there is work, and each five minutes while there is none", async () => {
  const { after } = beats();
  expect(await after(0, 0)).toBe(1);
  expect(await after(9_999, 1)).toBe(1);
  expect(await after(1, 1)).toBe(2);
  expect(await after(299_999, 1)).toBe(2);
  expect(await after(1, 1)).toBe(3);
  expect(await after(10_000, 2)).toBe(4);
});

it("writes no other heartbeat while one is being written", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { after } = beats(() => promise);
  expect(await after(0, 0)).toBe(1);
  expect(await after(600_000, 1)).toBe(1);
  resolve();
  await turn();
  expect(await after(0, 1)).toBe(2);
});

it("measures a new heartbeat that comes back, however many before it did not", async () => {
  const { heartbeat, meter, written, after, clock } = beats();
  for (let work = 1; work <= 300; work++) await after(10_000, work);
  expect(heartbeat.pendingMs).toBe(299 * 10_000);
  clock.advance(2_000);
  expect(heartbeat.received(written.at(-1) ?? "")).toBe(true);
  expect([heartbeat.pendingMs, meter.roundTrip.sum]).toEqual([0, 2]);
});

it("does not wait for a heartbeat that could not be written", async () => {
  const { heartbeat, clock, after } = beats(async () => {
    throw new Error("no connection");
  });
  await after(0, 0);
  clock.advance(60_000);
  expect(heartbeat.pendingMs).toBe(0);
});
