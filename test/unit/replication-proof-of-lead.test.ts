import { expect, onTestFinished, test } from "vitest";
import { AutoResetEvent } from "../../src/base/auto-reset-event.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { proveLead } from "../../src/replication/proof-of-lead.ts";
import { doubtMs } from "../../src/wal/wire.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { turn } from "../support/world-referee.ts";

/** A proof for process 7, of which the database says what `answer` does. */
function openProof(answer: () => Promise<boolean>) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const seen = { asked: [] as unknown[], proven: [] as number[] };
  const query = async ({ values }: { readonly values?: unknown }): Promise<unknown> => {
    seen.asked.push(values);
    return { rows: [{ leads: await answer() }] };
  };
  const doubted = new AutoResetEvent();
  const { log } = recordedLog();
  const proven = (at: number): void => void seen.proven.push(at);
  const loop = proveLead({ db: { query } as unknown as Queryable, doubted, pid: () => 7, proven, clock, log });
  const ended = loop(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  const doubt = async (): Promise<void> => {
    doubted.notify();
    await turn();
  };
  return { clock, stop, seen, doubt, ended };
}

test("P3: a session that has the leader's lock is proven alive at the moment when it was asked", async () => {
  const { clock, seen, doubt } = openProof(async (): Promise<boolean> => {
    clock.advance(30);
    return true;
  });
  clock.advance(500);
  const askedAt = clock.now();
  await doubt();
  expect([seen.asked, seen.proven]).toEqual([[[7]], [askedAt]]);
});

test("P3: one that has it not is proven nothing, and asked about again after a pause", async () => {
  const { clock, seen, doubt } = openProof(async () => false);
  await doubt();
  await doubt();
  expect([seen.asked.length, seen.proven]).toEqual([1, []]);
  clock.advance(100);
  await turn();
  expect([seen.asked.length, seen.proven]).toEqual([2, []]);
});

test("P3: an answer that comes after the session ended proves nothing, and holds up nothing", async () => {
  const answer = Promise.withResolvers<boolean>();
  const { stop, seen, doubt, ended } = openProof(() => answer.promise);
  await doubt();
  stop.abort();
  await ended;
  answer.resolve(true);
  await turn();
  expect(seen.proven).toEqual([]);
});

test("P3: when the session ends nothing is asked", async () => {
  const { stop, seen, ended } = openProof(async () => true);
  await turn();
  stop.abort();
  await ended;
  expect(seen.asked).toEqual([]);
});

test("P3: an answer that does not come is given up, and asked for again", async () => {
  const { clock, seen, doubt } = openProof(() => new Promise(() => undefined));
  await doubt();
  clock.advance(2_000);
  await turn();
  clock.advance(100);
  await doubt();
  expect([seen.asked.length, seen.proven]).toEqual([2, []]);
});

test("P3: with the fence after it, the silence that is believed is never longer than the server's", () => {
  expect(doubtMs({ senderTimeoutMs: 4_000, fenceMs: 2_500 })).toBe(1_500);
  expect(doubtMs({ senderTimeoutMs: 4_000, fenceMs: 750 })).toBe(750);
});
