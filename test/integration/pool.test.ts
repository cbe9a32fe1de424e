import pg from "pg";
import { afterEach, expect, test, vi } from "vitest";
import { openPool } from "../../src/pg/pool.ts";
import { PIN_SESSION } from "../../src/pg/search-path.ts";
import { eventually } from "../support/eventually.ts";
import { testDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const RUNNING = "select pid from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(60)'";

test("P2: a connection that is made too late for who waits for it serves the next", async () => {
  await using db = await testDatabase({ migrated: false });
  await using proxy = await startProxy(db.url);
  await using pool = openPool({ url: proxy.through(db.url), size: 1, statementTimeoutMs: 60_000 });
  const held = Promise.allSettled([pool.query({ text: "select pg_sleep(60)" })]);
  const [running] = await eventually(async () => {
    const rows = await db.query<{ pid: number }>(RUNNING);
    return rows.length > 0 && rows;
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const waiting = pool.query({ text: "select 1" });
  const begun = Promise.withResolvers<void>();
  const prototype = pg.Client.prototype as unknown as { query: (this: unknown, ...given: unknown[]) => unknown };
  const { query } = prototype;
  vi.spyOn(prototype, "query").mockImplementation(function (this: unknown, ...given) {
    if (String(given[0]).startsWith(PIN_SESSION)) {
      proxy.pause();
      begun.resolve();
    }
    return query.apply(this, given);
  });
  await db.query(`select pg_terminate_backend(${running?.pid})`);
  expect(await held).toMatchObject([{ reason: { code: "57P01" } }]);
  await begun.promise;
  const [outcome] = await Promise.all([Promise.allSettled([waiting]), vi.advanceTimersByTimeAsync(5_000)]);
  expect(outcome).toMatchObject([{ reason: { message: "timeout exceeded when trying to connect" } }]);
  vi.useRealTimers();
  proxy.resume();
  const { rows } = await pool.query<{ one: number }>({ text: "select 1 as one" });
  expect(rows).toEqual([{ one: 1 }]);
});

test("a shorter time for one statement is no other's, also where that one fails for its data", async () => {
  await using db = await testDatabase({ migrated: false });
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 60_000 });
  await expect(pool.query({ text: "select 1 / 0", timeoutMs: 500 })).rejects.toMatchObject({ code: "22012" });
  const { rows } = await pool.query({ text: "show statement_timeout" });
  expect(rows).toEqual([{ statement_timeout: "1min" }]);
});

test("a time for one statement is never longer than that of all: the server would go on after the client left", async () => {
  await using db = await testDatabase({ migrated: false });
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 1_000 });
  const { rows } = await pool.query({ text: "show statement_timeout", timeoutMs: 5_000 });
  expect(rows).toEqual([{ statement_timeout: "1s" }]);
});
