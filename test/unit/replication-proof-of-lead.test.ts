import { expect, onTestFinished, test } from "vitest";
import { AutoResetEvent } from "../../src/base/auto-reset-event.ts";
import { formatLsn, lsn } from "../../src/pg/lsn.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { proveLead } from "../../src/replication/proof-of-lead.ts";
import { doubtMs } from "../../src/wal/wire.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { turn } from "../support/world-referee.ts";

interface Answer {
  readonly leads: boolean;
  readonly confirmed: string | null;
}

/** A proof for process 7, of which the database says what `answer` does; it takes a message as `write` does. */
function openProof(answer: () => Promise<Answer>, write: () => Promise<void> = async () => undefined) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const seen = {
    asked: [] as unknown[],
    askedAt: [] as number[],
    written: 0,
    another: 0,
    processed: [] as bigint[],
    hadLock: [] as number[],
  };
  const state = { isDoubted: true, hasAnother: true, received: lsn(9_000n), pid: 7 as number | null };
  const query = async ({ text, values }: { readonly text: string; readonly values?: unknown }): Promise<unknown> => {
    if (text.includes("pg_logical_emit_message")) {
      seen.written++;
      await write();
      return { rows: [] };
    }
    seen.asked.push(values);
    seen.askedAt.push(clock.now());
    return { rows: [await answer()] };
  };
  const session = {
    pid: () => state.pid,
    received: () => state.received,
    isDoubted: () => state.isDoubted,
    confirmAnother: () => {
      seen.another++;
      return state.hasAnother;
    },
    processed: (position: bigint) => void seen.processed.push(position),
    hadLock: (at: number) => void seen.hadLock.push(at),
  };
  const doubted = new AutoResetEvent();
  const { log, lines } = recordedLog();
  const loop = proveLead({ db: { query } as unknown as Queryable, session, doubted, clock, log });
  const ended = loop(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
  });
  const doubt = async (): Promise<void> => {
    doubted.notify();
    await turn();
  };
  const wait = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  const answers: boolean[] = [];
  return { clock, stop, seen, state, answers, doubt, wait, ended, lines };
}

const LEADS = { leads: true, confirmed: formatLsn(lsn(5_000n)) };

test("P3: a doubt is followed by a status of its own, and by the question what was processed", async () => {
  const { seen, doubt } = openProof(async () => LEADS);
  await doubt();
  expect(seen).toMatchObject({ asked: [[7]], another: 1, written: 0, processed: [5_000n] });
});

test("P3: it is asked again, with another status each time, until there is no doubt any more", async () => {
  const { seen, state, doubt, wait } = openProof(async () => LEADS);
  await doubt();
  await wait(10);
  expect(seen).toMatchObject({ another: 2, processed: [5_000n, 5_000n] });
  state.isDoubted = false;
  await wait(20);
  await wait(1_000);
  expect(seen.another).toBe(2);
});

test("P3: it is asked at once, after 10 ms, and after twice as long each time up to 200 ms", async () => {
  const { seen, doubt, wait } = openProof(async () => LEADS);
  await doubt();
  for (let ms = 0; ms < 800; ms += 10) await wait(10);
  expect(seen.askedAt).toEqual([0, 10, 30, 70, 150, 310, 510, 710]);
});

test("P3: without a doubt nothing is asked", async () => {
  const { seen, state, doubt } = openProof(async () => LEADS);
  state.isDoubted = false;
  await doubt();
  expect(seen.asked).toEqual([]);
});

test("P3: where everything is confirmed a message is written, once a second, so that there is something to confirm", async () => {
  const { seen, state, doubt, wait } = openProof(async () => LEADS);
  state.hasAnother = false;
  await doubt();
  for (let ms = 0; ms < 990; ms += 10) await wait(10);
  expect(seen.written).toBe(1);
  for (let ms = 0; ms < 300; ms += 10) await wait(10);
  expect(seen.written).toBe(2);
});

test("P6: where nothing is left to confirm for two seconds, the lock suffices, until there is something again", async () => {
  const { clock, seen, state, doubt, wait } = openProof(async () => LEADS);
  state.hasAnother = false;
  const begunAt = clock.now();
  await doubt();
  for (let ms = 0; ms < 2_000; ms += 10) await wait(10);
  expect(seen.hadLock).toEqual([]);
  for (let ms = 0; ms < 400; ms += 10) await wait(10);
  expect(seen.hadLock.length).toBeGreaterThan(0);
  expect(Math.min(...seen.hadLock)).toBeGreaterThan(begunAt + 2_000);
  state.hasAnother = true;
  for (let ms = 0; ms < 200; ms += 10) await wait(10);
  const { length } = seen.hadLock;
  for (let ms = 0; ms < 2_000; ms += 10) await wait(10);
  expect(seen.hadLock).toHaveLength(length);
});

test("P3: the lock does not suffice for two seconds from when something was received on", async () => {
  const { clock, seen, state, doubt, wait } = openProof(async () => LEADS);
  state.hasAnother = false;
  await doubt();
  for (let ms = 0; ms < 1_000; ms += 10) await wait(10);
  state.isDoubted = false;
  for (let ms = 0; ms < 60_000; ms += 1_000) await wait(1_000);
  state.isDoubted = true;
  state.received = lsn(9_100n);
  const begunAt = clock.now();
  await doubt();
  for (let ms = 0; ms < 2_500; ms += 10) await wait(10);
  expect(Math.min(...seen.hadLock)).toBeGreaterThan(begunAt + 2_000);
});

test("P3: the lock does not suffice where it is not the session's", async () => {
  const { seen, state, doubt, wait } = openProof(async () => ({ ...LEADS, leads: false }));
  state.hasAnother = false;
  await doubt();
  for (let ms = 0; ms < 4_000; ms += 10) await wait(10);
  expect(seen.hadLock).toEqual([]);
});

test("P3: what a session has processed that has not the leader's lock proves nothing, and is said", async () => {
  const { seen, doubt, lines } = openProof(async () => ({ ...LEADS, leads: false }));
  await doubt();
  expect([seen.asked.length, seen.processed]).toEqual([1, []]);
  expect(lines).toMatchObject([{ level: "warn", code: "STREAM_LOST" }]);
});

test("P3: that it was not known is said once, and when it is known again", async () => {
  const { state, doubt, wait, lines, answers } = openProof(async () => {
    const leads = answers.shift() ?? true;
    state.isDoubted = !leads;
    return { ...LEADS, leads };
  });
  answers.push(false, false);
  await doubt();
  await wait(10);
  await wait(20);
  expect(lines).toMatchObject([{ level: "warn" }, { level: "info", message: "this daemon leads still" }]);
});

test("P3: as long as there is doubt nothing is said to be known again", async () => {
  const { state, doubt, wait, lines, answers } = openProof(async () => ({ ...LEADS, leads: answers.shift() ?? true }));
  answers.push(false);
  await doubt();
  await wait(10);
  expect(lines).toMatchObject([{ level: "warn" }]);
  state.isDoubted = false;
  await wait(20);
  expect(lines).toHaveLength(1);
});

test("P3: a message that cannot be written is said", async () => {
  const { state, doubt, lines } = openProof(
    () => new Promise(() => undefined),
    async () => {
      throw new Error("read-only");
    },
  );
  state.hasAnother = false;
  await doubt();
  expect(lines).toMatchObject([{ level: "warn" }]);
});

test("P3: a session that is not known yet has no lock that could suffice", async () => {
  const { seen, state, doubt, wait } = openProof(async () => LEADS);
  Object.assign(state, { pid: null, hasAnother: false });
  await doubt();
  for (let ms = 0; ms < 4_000; ms += 10) await wait(10);
  expect([seen.asked, seen.hadLock]).toEqual([[], []]);
});

test("P3: a session without a slot, or not known yet, proves nothing", async () => {
  const { seen, state, doubt, wait } = openProof(async () => ({ leads: true, confirmed: null }));
  await doubt();
  state.pid = null;
  await wait(10);
  expect([seen.asked.length, seen.processed]).toEqual([1, []]);
});

test("P3: an answer that comes after the session ended proves nothing, and holds up nothing", async () => {
  const answer = Promise.withResolvers<Answer>();
  const { stop, seen, doubt, ended, lines } = openProof(() => answer.promise);
  await doubt();
  stop.abort();
  await ended;
  answer.resolve(LEADS);
  await turn();
  expect([seen.processed, lines]).toEqual([[], []]);
});

test("P3: an answer that comes as the session ends proves nothing", async () => {
  const answer = Promise.withResolvers<Answer>();
  const { stop, seen, doubt, ended } = openProof(() => answer.promise);
  await doubt();
  answer.resolve(LEADS);
  stop.abort();
  await ended;
  expect(seen.processed).toEqual([]);
});

test("P3: when the session ends nothing is asked", async () => {
  const { stop, seen, ended } = openProof(async () => LEADS);
  await turn();
  stop.abort();
  await ended;
  expect(seen.asked).toEqual([]);
});

test("P3: an answer that does not come is given up, and asked for again", async () => {
  const { seen, doubt, wait, lines } = openProof(() => new Promise(() => undefined));
  await doubt();
  await wait(2_000);
  await wait(10);
  expect([seen.asked.length, seen.processed]).toEqual([2, []]);
  expect(lines).toMatchObject([{ level: "warn", code: "STREAM_LOST" }]);
});

test("P3: with the fence after it, the silence that is believed is never longer than the server's", () => {
  expect(doubtMs({ senderTimeoutMs: 4_000, fenceMs: 2_500 })).toBe(1_500);
  expect(doubtMs({ senderTimeoutMs: 4_000, fenceMs: 750 })).toBe(750);
});
