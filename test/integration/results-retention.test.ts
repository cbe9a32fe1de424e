import { describe, expect, test } from "vitest";

import { systemClock, type Clock } from "../../src/base/clock.ts";
import { openPool, type Queryable } from "../../src/pg/pool.ts";
import { type ExpiryOptions, expireResults, nextRows } from "../../src/results/retention.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

/** Answers with their details, `ageSeconds` old. */
async function answers(db: TestDatabase, count: number, ageSeconds: number): Promise<void> {
  for (const table of [
    "net._http_response (id, created)",
    "net.http_response_detail (id, created, method, url, attempts, enqueued)",
  ]) {
    const rest = table.includes("detail") ? ", 'GET', 'http://a/', 1, now()" : "";
    await db.query(
      `insert into ${table} select i, now() - make_interval(secs => $2) - i * interval '1 microsecond'${rest} from generate_series(1, $1) i`,
      [count, ageSeconds],
    );
  }
}

async function letters(db: TestDatabase, count: number, ageSeconds: number): Promise<void> {
  await db.query(
    `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, died)
     select i, 'GET', 'http://a/', 1, now(), 1, now() - make_interval(secs => $2) from generate_series(1, $1) i`,
    [count, ageSeconds],
  );
}

async function counts(db: TestDatabase): Promise<unknown> {
  const [row] = await db.query(
    `select (select count(*) from net._http_response)::int as responses, (select count(*) from net.http_response_detail)::int as details,
       (select count(*) from net.http_dead_letter)::int as letters`,
  );
  return row;
}

/** Runs the loop until `until` holds, and returns how many statements it sent. */
async function expireUntil(
  db: TestDatabase,
  until: () => Promise<boolean>,
  options: Partial<ExpiryOptions> = {},
): Promise<number> {
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 10_000 });
  let statements = 0;
  const counting: Queryable = {
    query: (statement) => {
      statements += 1;
      return pool.query(statement);
    },
  };
  const stop = new AbortController();
  const retention = () => ({ ttlSeconds: 3_600, deadLetterTtlSeconds: 7_200 });
  const loop = expireResults({ db: counting, clock: systemClock, log: silentLog, retention, ...options })(stop.signal);
  try {
    await eventually(until);
  } finally {
    stop.abort();
    await loop;
  }
  return statements;
}

describe("retention", () => {
  test("expired rows go in small statements, the others stay", async () => {
    await using db = await testDatabase();
    await answers(db, 2_500, 4_000);
    await answers(db, 30, 3_000);
    await letters(db, 5, 8_000);
    await letters(db, 7, 4_000);
    const done = async () =>
      JSON.stringify(await counts(db)) === JSON.stringify({ responses: 30, details: 30, letters: 7 });
    // Five bring 500 rows each; the sixth, which finds none, may come too late to be counted.
    expect([5, 6]).toContain(await expireUntil(db, done, { maxRows: 500 }));
  });

  test("of a table that inherits, rows go when they have expired, and not for others at the same places", async () => {
    await using db = await testDatabase();
    await db.query("create table public.kept () inherits (net._http_response)");
    await answers(db, 10, 4_000);
    await db.query("insert into public.kept (id) select generate_series(1, 10)");
    const done = async () => (await db.query("select from only net._http_response")).length === 0;
    await expireUntil(db, done);
    expect(await db.query("select from public.kept")).toHaveLength(10);
  });

  test.each([
    ["answers", answers],
    ["dead letters", letters],
  ])("a round goes on while any table has more: %s", async (_what, insert) => {
    await using db = await testDatabase();
    await insert(db, 10, 8_000);
    const none = { responses: 0, details: 0, letters: 0 };
    await expireUntil(db, async () => JSON.stringify(await counts(db)) === JSON.stringify(none), { maxRows: 3 });
    expect(await counts(db)).toEqual(none);
  });

  test("null keeps rows for ever", async () => {
    await using db = await testDatabase();
    await answers(db, 10, 1_000_000);
    await letters(db, 10, 1_000_000);
    let rounds = 0;
    const clock: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        rounds += 1;
        return systemClock.sleep(ms, signal);
      },
    };
    const options = { clock, everyMs: 10, retention: () => ({ ttlSeconds: null, deadLetterTtlSeconds: null }) };
    await expireUntil(db, () => Promise.resolve(rounds > 2), options);
    expect(await counts(db)).toEqual({ responses: 10, details: 10, letters: 10 });
  });

  test("P8 nothing to expire costs one statement in each period", async () => {
    await using db = await testDatabase();
    const sleeps: number[] = [];
    const clock: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        sleeps.push(ms);
        return systemClock.sleep(1, signal);
      },
    };
    const statements = await expireUntil(db, () => Promise.resolve(sleeps.length >= 3), { clock });
    expect(new Set(sleeps)).toEqual(new Set([60_000]));
    expect(Math.abs(statements - sleeps.length)).toBeLessThanOrEqual(1);
  });

  test("rows locked by a caller are left for the next time", async () => {
    await using db = await testDatabase();
    await answers(db, 10, 4_000);
    const other = await db.pool.connect();
    try {
      await other.query("begin");
      await other.query("update net._http_response set content = 'mine' where id = 3");
      const left = async () =>
        JSON.stringify(await counts(db)) === JSON.stringify({ responses: 1, details: 0, letters: 0 });
      await expireUntil(db, left);
      await other.query("commit");
      const gone = async () =>
        JSON.stringify(await counts(db)) === JSON.stringify({ responses: 0, details: 0, letters: 0 });
      await expireUntil(db, gone);
    } finally {
      other.release();
    }
    expect(await counts(db)).toEqual({ responses: 0, details: 0, letters: 0 });
  });

  test("a failure is said once, and expiry goes on by itself", async () => {
    await using db = await testDatabase();
    await answers(db, 10, 4_000);
    await db.query("alter table net._http_response rename to away");
    const lines: string[] = [];
    const line = (level: string) => (fields: Readonly<Record<string, unknown>>) => {
      lines.push(`${level} ${JSON.stringify(fields["code"] ?? null)}`);
    };
    const log = { ...silentLog, info: line("info"), warn: line("warn") };
    const sleeps: number[] = [];
    const clock: Clock = {
      now: () => systemClock.now(),
      sleep: async (ms, signal) => {
        sleeps.push(ms);
        if (sleeps.length === 4) await db.query("alter table net.away rename to _http_response");
        await systemClock.sleep(1, signal);
      },
    };
    await expireUntil(db, () => Promise.resolve(lines.length === 2), { log, clock });
    expect(lines).toEqual(['warn "42P01"', "info null"]);
    expect(sleeps.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(await counts(db)).toEqual({ responses: 0, details: 0, letters: 0 });
  });

  test("statements shrink where they are slow and grow back", () => {
    expect(nextRows(1_000, 500, 1_000)).toBe(500);
    expect(nextRows(1, 500, 1_000)).toBe(1);
    expect(nextRows(500, 100, 1_000)).toBe(500);
    expect(nextRows(500, 10, 1_000)).toBe(1_000);
    expect(nextRows(1_000, 10, 1_000)).toBe(1_000);
  });
});
