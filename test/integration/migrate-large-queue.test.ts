import { expect, test } from "vitest";
import type { IndexProgress } from "../../src/pg/indexing-progress.ts";
import { migrate, migrateIn } from "../../src/pg/migrate.ts";
import { inTransactions } from "../../src/pg/migration-transaction.ts";
import { LATEST_VERSION, MIGRATIONS } from "../../src/pg/migrations.ts";
import { eventually } from "../support/eventually.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const BEFORE = MIGRATIONS.indexOf("0011_lane_indexes.sql");
const ROWS = 200_000;

/** A database just before the indexes by lane, with many requests. */
async function largeQueue(): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: BEFORE });
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://h' || g % 100 || '.example/', 1000 from generate_series(1, $1::int) g`,
    [ROWS],
  );
  return db;
}

const INVALID = "select from pg_index where not indisvalid and indrelid = 'net.http_request_queue'::regclass";

test(
  "P9: while a large queue gets its new indexes no caller waits for as long as that takes",
  { timeout: 60_000 },
  async () => {
    await using db = await largeQueue();
    const startedAt = performance.now();
    let isDone = false;
    const migrated = migrate(db.url).finally(() => (isDone = true));
    let longestMs = 0;
    let calls = 0;
    while (!isDone) {
      const before = performance.now();
      await db.query("select net.http_get('http://caller.example/')");
      longestMs = Math.max(longestMs, performance.now() - before);
      calls += 1;
    }
    expect(await migrated).toMatchObject({ from: BEFORE, to: LATEST_VERSION });
    const tookMs = performance.now() - startedAt;
    expect(longestMs).toBeLessThan(tookMs / 2);
    expect(calls).toBeGreaterThan(10);
    expect(await db.query(INVALID)).toEqual([]);
    expect(await db.query("select from net.http_request_queue")).toHaveLength(ROWS + calls);
  },
);

test(
  "several migrations of a large queue at once make each index once, also one that was left unfinished",
  { timeout: 60_000 },
  async () => {
    await using db = await largeQueue();
    await db.query("create index http_request_queue_lane on net.http_request_queue (id)");
    await db.query("update pg_index set indisvalid = false where indexrelid = 'net.http_request_queue_lane'::regclass");
    await Promise.all(Array.from({ length: 5 }, () => migrate(db.url)));
    const indexes = await db.query<{ name: string; definition: string }>(
      `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
    where indrelid = 'net.http_request_queue'::regclass and indisvalid and indexrelid::regclass::text like '%lane%' order by 1`,
    );
    expect(indexes.map(({ name }) => name)).toEqual([
      "net.http_request_queue_lane",
      "net.http_request_queue_lane_deferred",
    ]);
    expect(indexes[0]?.definition).toContain('net._lane(url, lane) COLLATE "C"');
  },
);

test(
  "a migration of a large queue that another one has overtaken makes no index again",
  { timeout: 60_000 },
  async () => {
    await using db = await largeQueue();
    const client = await db.pool.connect();
    try {
      const steps = inTransactions(client, {});
      let isFirst = true;
      await migrateIn(
        client,
        {},
        {
          run: async (what, act) => steps.run(what, act),
          prepare: async (...migration) => {
            if (isFirst) await migrate(db.url);
            isFirst = false;
            await steps.prepare(...migration);
          },
        },
      );
    } finally {
      client.release();
    }
    expect(
      await db.query(`select indexrelid::regclass::text as name from pg_index
    where indrelid = 'net.http_request_queue'::regclass and indexrelid::regclass::text like '%lane%' order by 1`),
    ).toEqual([{ name: "net.http_request_queue_lane" }, { name: "net.http_request_queue_lane_deferred" }]);
  },
);

test("a migration of a large queue reports how far each index has come", { timeout: 60_000 }, async () => {
  await using db = await largeQueue();
  // An open transaction that has called holds up the index, so that it takes longer than the time between two reports.
  const caller = await db.pool.connect();
  const reports: IndexProgress[] = [];
  try {
    await caller.query("begin; select net.http_get('http://caller.example/')");
    const migrated = migrate(db.url, { url: db.url, indexing: (progress) => void reports.push(progress) });
    migrated.catch(() => undefined);
    await eventually(() => reports.some(({ phase }) => phase.startsWith("waiting for")));
    await caller.query("commit");
    await migrated;
  } finally {
    caller.release(true);
  }
  expect(new Set(reports.map(({ index }) => index))).toContain("net.http_request_queue_lane");
  for (const { done, total } of reports) expect(done).toBeLessThanOrEqual(total);
});

test(
  "an index that was left unfinished is made again, however few requests wait by then",
  { timeout: 60_000 },
  async () => {
    await using db = await testDatabase({ migrated: false });
    await migrate(db.url, { to: MIGRATIONS.indexOf("0017_lane_function_indexes.sql") });
    await db.query("create index http_request_queue_lane_next on net.http_request_queue (id)");
    await db.query(
      "update pg_index set indisvalid = false where indexrelid = 'net.http_request_queue_lane_next'::regclass",
    );
    await migrate(db.url);
    expect(await db.query(INVALID)).toEqual([]);
    const [index] = await db.query<{ made: string }>(
      "select pg_get_indexdef('net.http_request_queue_lane'::regclass) as made",
    );
    expect(index?.made).toContain("net._lane(url, lane)");
  },
);

test(
  "an index of a large queue that waits for an old transaction says for whom, and a stop signal ends it",
  { timeout: 60_000 },
  async () => {
    await using db = await largeQueue();
    const old = await db.pool.connect();
    try {
      await old.query(
        "begin; insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'http://old.example/', 1)",
      );
      const { rows } = await old.query<{ pid: number }>("select pg_backend_pid() as pid");
      // The second one begins with the removal of what the first left unfinished.
      for (const left of [0, 1]) {
        expect(await db.query(INVALID)).toHaveLength(left);
        const problems: string[] = [];
        const stop = new AbortController();
        const waiting = ({ message }: Error): void => void problems.push(message);
        const ended = migrate(db.url, { url: db.url, signal: stop.signal, waiting }).catch((error: unknown) => error);
        await eventually(() => problems.length > 0);
        expect(problems[0]).toMatch(new RegExp(`^process ${rows[0]?.pid}\\b`));
        stop.abort();
        expect(await ended).toMatchObject({
          code: "NOT_DONE",
          message: "stopped while index net.http_request_queue_lane was made",
        });
      }
    } finally {
      old.release(true);
    }
    expect(await migrate(db.url)).toMatchObject({ from: BEFORE, to: LATEST_VERSION });
    expect(await db.query(INVALID)).toEqual([]);
  },
);
