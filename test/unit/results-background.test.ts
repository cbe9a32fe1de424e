import { expect, test } from "vitest";

import type { Clock } from "../../src/base/clock.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import type { ResultListener } from "../../src/results/completion.ts";
import { type OpenResultWriter, openResultWriter } from "../../src/results/writer.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { answer } from "../support/result-writer.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";

const deaf: ResultListener = { settled: () => {}, gone: () => {}, writable: () => {} };

interface Verdict {
  readonly missing: readonly string[];
  readonly locked: readonly string[];
}

/** A database that answers writes with `verdicts` in turn, and then that all is well; a look at locks finds none. */
function database(verdicts: (Verdict | Error)[] = []): Queryable & { statements: number } {
  const db = {
    statements: 0,
    query: async () => {
      db.statements += 1;
      const verdict = verdicts.shift() ?? { missing: [], locked: [] };
      if (verdict instanceof Error) throw verdict;
      return { rows: [{ snapshot: "10:10:", ...verdict }] as never[], rowCount: 1 };
    },
  };
  return db;
}

function open(db: Queryable, clock: Clock, listener: ResultListener = deaf): OpenResultWriter {
  return openResultWriter({ db, listener, clock, log: silentLog, signal: new AbortController().signal });
}

/** Notes for how long each sleep is. */
class NotingClock extends FakeClock {
  readonly sleeps: number[] = [];

  override async sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    await super.sleep(ms, signal);
  }
}

test("P8: a writer with nothing to write, or nothing that has to wait, sets no timer", async () => {
  const clock = new NotingClock();
  const db = database();
  await using writer = open(db, clock);
  const end = new AbortController();
  const ended = writer.run(end.signal);
  writer.write(answer(1n), null);
  await writer.drained(AbortSignal.timeout(10_000));
  await turn();
  expect(clock.sleeps).toEqual([]);
  expect(db.statements).toBe(1);
  end.abort();
  await ended;
});

const refusal = (): Error => Object.assign(new Error("odd"), { code: "23514" });

test.each([
  { what: "a write that failed", verdicts: [new Error("gone")], afterMs: 50 },
  { what: "a row that was locked", verdicts: [{ missing: ["1"], locked: ["1"] }], afterMs: 50 },
  { what: "a row that was refused, and its refusal too,", verdicts: [refusal(), refusal()], afterMs: 5_000 },
])("P2: $what is tried again by the loop of the writer, which then sleeps", async ({ verdicts, afterMs }) => {
  const clock = new NotingClock();
  const settled: bigint[] = [];
  await using writer = open(database(verdicts), clock, {
    ...deaf,
    settled: (completions) => settled.push(...completions.map(({ request }) => request.id)),
  });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  writer.write(answer(1n), null);
  for (let ms = 0; ms < afterMs; ms += 10) {
    await turn();
    expect(settled).toEqual([]);
    clock.advance(10);
  }
  for (let step = 0; settled.length === 0; step++) {
    expect(step).toBeLessThan(10);
    await turn();
    clock.advance(10);
  }
  const before = clock.sleeps.length;
  for (let step = 0; step < 10; step++) {
    await turn();
    clock.advance(60_000);
  }
  expect(settled).toEqual([1n]);
  expect(clock.sleeps.slice(before)).toEqual([]);
  end.abort();
  await ended;
});

test("P6: an outage ends where the database answers that it refuses a row, also where nothing else is written", async () => {
  const clock = new FakeClock();
  const writable: boolean[] = [];
  const db = database([new Error("gone"), ...Array.from({ length: 100 }, refusal)]);
  await using writer = open(db, clock, { ...deaf, writable: (why) => writable.push(why === null) });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  writer.write(answer(1n), null);
  for (let step = 0; step < 100; step++) {
    await turn();
    clock.advance(1_000);
  }
  expect(writable).toEqual([false, true]);
  end.abort();
  await ended;
});

test("a refusal that is not answered in time is an outage, however large the answer was in whose place it is stored", async () => {
  const clock = new FakeClock();
  const writable: boolean[] = [];
  const db: Queryable = {
    query: async () => {
      clock.advance(6_000);
      throw new Error("Query read timeout");
    },
  };
  const signal = new AbortController().signal;
  const listener = { ...deaf, writable: (why: string | null) => void writable.push(why === null) };
  await using writer = openResultWriter({ db, listener, clock, log: silentLog, signal, maxBatchBytes: 10 });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  writer.write(answer(1n, { content: Buffer.alloc(100, "x") }), null);
  for (let step = 0; step < 20; step++) {
    await turn();
    clock.advance(5_000);
  }
  expect(writable).toEqual([false]);
  end.abort();
  await ended;
});

test("a fault of the listener ends the loop of the writer instead of vanishing", async () => {
  await using writer = open(database(), new FakeClock(), {
    ...deaf,
    settled: () => {
      throw new RangeError("a fault");
    },
  });
  const ended = writer.run(new AbortController().signal);
  writer.write(answer(1n), null);
  await expect(ended).rejects.toThrow("a fault");
});

test("P2: what the database takes in small batches alone is written, each batch half as large as the one that took too long", async () => {
  const clock = new FakeClock();
  const sizes: number[] = [];
  let asked = 0;
  const db: Queryable = {
    query: async ({ values = [] }: { readonly values?: unknown[] }) => {
      const [ids] = values;
      // 20 bytes before the elements of an array, and 12 for each of int8.
      const size = Buffer.isBuffer(ids) ? (ids.length - 20) / 12 : 0;
      if (size === 0) asked += 1;
      else sizes.push(size);
      if (size > 100) {
        clock.advance(6_000);
        throw new Error("Query read timeout");
      }
      return { rows: [{ snapshot: "10:10:", missing: [], locked: [] }] as never[], rowCount: 1 };
    },
  };
  const signal = new AbortController().signal;
  const writable: unknown[] = [];
  const listener = { ...deaf, writable: (why: string | null) => void writable.push(why) };
  await using writer = openResultWriter({ db, listener, clock, log: silentLog, signal, maxBatches: 1 });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  for (let id = 1n; id <= 500n; id++) writer.write(answer(id), null);
  for (let times = 0; times < 40; times++) {
    await turn();
    clock.advance(5_000);
  }
  expect(sizes.slice(0, 4)).toEqual([500, 250, 125, 63]);
  const tooLarge = sizes.filter((size) => size > 100);
  const written = sizes.filter((size) => size <= 100).reduce((sum, size) => sum + size, 0);
  // The database was seen to take another statement and a commit each time: this is no outage.
  expect({ asked, written, writable }).toEqual({ asked: 2 * tooLarge.length, written: 500, writable: [] });
  end.abort();
  await ended;
});

test("P6: however many large answers hang, a small one is written", async () => {
  const settled: bigint[] = [];
  const hangs = new Promise<never>(() => undefined);
  const db: Queryable = {
    query: async ({ values = [] }: { readonly values?: unknown[] }) => {
      if (values.some((value) => Buffer.isBuffer(value) && value.length > 1_000_000)) await hangs;
      return { rows: [{ snapshot: "10:10:", missing: [], locked: [] }] as never[], rowCount: 1 };
    },
  };
  const listener: ResultListener = {
    ...deaf,
    settled: (all) => void settled.push(...all.map(({ request }) => request.id)),
  };
  const kill = new AbortController();
  const clock = new FakeClock();
  const writer = openResultWriter({
    db,
    listener,
    clock,
    log: silentLog,
    signal: kill.signal,
    maxBatchBytes: 3_000_000,
  });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  for (const id of [1n, 2n, 3n]) writer.write(answer(id, { content: Buffer.alloc(2_000_000, "x") }), null);
  await turn();
  writer.write(answer(4n), null);
  await turn();
  await turn();
  expect(settled).toEqual([4n]);
  kill.abort();
  end.abort();
  await ended;
});
