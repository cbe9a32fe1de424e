import { expect, test } from "vitest";
import { type OutboxRow, readRow } from "../../src/outbox/row.ts";
import { sweep, type SweepResult } from "../../src/outbox/sweep.ts";
import { openPool } from "../../src/pg/pool.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { startStream } from "../support/fault-stream.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

const PLAN = sweepPlan({ rows: 10, perLane: 10 });

/** Sweeps over one connection, on which the statement stays prepared. */
async function openSweeps({
  url,
}: {
  readonly url: string;
}): Promise<AsyncDisposable & { once(): Promise<SweepResult> }> {
  const pool = openPool({ url, size: 1, statementTimeoutMs: 5_000 });
  return {
    once: () => sweep(pool, PLAN, { maxRedirects: 5, installationMarks: [], assertSame: () => undefined }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

async function insert(db: TestDatabase, nextAttemptAt: string | null): Promise<void> {
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
    values ('GET', 'http://x/', 1000, $1::timestamptz)`,
    [nextAttemptAt],
  );
}

test("P2: a row that waits for an infinite time keeps no other from being read", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  await insert(db, "infinity");
  expect(await sweeps.once()).toMatchObject({ rows: [], left: [], isWhole: true, nextDueMs: null });
  await insert(db, "-infinity");
  await insert(db, null);
  await insert(db, "2100-01-01");
  const { rows, nextDueMs } = await sweeps.once();
  expect(rows.map(({ request, defect }) => [request.id, defect])).toEqual([
    [2n, null],
    [3n, null],
  ]);
  expect(nextDueMs).toBeGreaterThan(70 * 365 * 86_400_000);
});

test("P2: a row that becomes due while the outbox is swept is due at once after it", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  await insert(db, "2100-01-01");
  // Reading takes longer than until the row is due.
  await db.query(`alter table net.http_request_queue rename to slow;
    alter table net.slow rename next_attempt_at to due;
    create view net.http_request_queue as
    select slow.*, statement_timestamp() + interval '50 ms' as next_attempt_at from net.slow, pg_sleep(0.1)`);
  const { rows, nextDueMs } = await sweeps.once();
  expect(rows).toEqual([]);
  expect(nextDueMs).toBeLessThan(0);
});

test("P2: a sweep on a connection that has swept before goes on after the table was altered", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  await insert(db, null);
  expect((await sweeps.once()).rows).toHaveLength(1);
  await db.query("alter table net.http_request_queue alter column url type varchar, add column more text");
  expect((await sweeps.once()).rows).toHaveLength(1);
});

test("P5: what is too large to be sent is reported, not read, and keeps nothing else from being read", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  await db.query(`
    with large (text) as (select string_agg(md5(g::text), '') from generate_series(1, 10000) as g)
    insert into net.http_request_queue (method, url, timeout_milliseconds, headers, body, options)
    select 'POST', 'http://x/', 1000, null::jsonb, convert_to(repeat('a', 70000000), 'UTF8'), null::jsonb
    union all select 'POST', 'http://x/', 1000, jsonb_build_object('X', text), null, null from large
    union all select 'POST', 'http://x/', 1000, null, null, jsonb_build_object('x', text) from large
    union all select 'POST', 'http://x/' || repeat('\u4e2d', 90000), 1000, null, null, null`);
  await insert(db, null);
  const { rows, left } = await sweeps.once();
  expect(left).toEqual([]);
  expect(rows.map(({ request, defect }) => [request.id, request.bytes < 1_000, defect])).toEqual([
    [1n, true, "its url and body are larger than 67108864 bytes"],
    [2n, true, "its headers are larger than 262144 bytes"],
    [3n, true, "its options are larger than 262144 bytes"],
    [4n, true, "its url is larger than 262144 bytes"],
    [5n, true, null],
  ]);
});

test("P5: jsonb counts as what it takes when it is read, whatever its compression saves: five rows fit into 1 MiB", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  await db.query(`
    insert into net.http_request_queue (method, url, timeout_milliseconds, headers)
    select 'GET', 'http://x/', 1000, jsonb_build_object('X', repeat('a', 200000)) from generate_series(1, 10)`);
  const { rows, left } = await sweeps.once();
  expect(rows).toHaveLength(5);
  expect(left).toEqual(["x"]);
});

test("P2: every id there can be is read", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  const ids = ["-9223372036854775808", "-1", "0", "1", "9223372036854775807"];
  await db.query(
    `insert into net.http_request_queue (id, method, url, timeout_milliseconds)
    select id, 'GET', 'http://x/', 1000 from unnest($1::bigint[]) as id`,
    [ids],
  );
  const { rows, left } = await sweeps.once();
  expect(rows.map(({ request }) => String(request.id))).toEqual(ids);
  expect(left).toEqual([]);
});

test("a header with a number longer than JavaScript's is sent as it was written, swept or streamed", async () => {
  await using db = await testDatabase();
  await using sweeps = await openSweeps(db);
  const streamed: OutboxRow[] = [];
  await using stream = await startStream(db.url, {
    inserted: (row) => streamed.push(readRow(row, { maxRedirects: 5, installationMarks: [] })),
  });
  await db.query(
    "select net.http_get('http://x/', headers := jsonb_build_object('X-Id', 9223372036854775807, 'X-Ids', '[12345678901234567890]'::jsonb))",
  );
  await stream.waitFor(1);
  const headers = [
    ["X-Id", "9223372036854775807"],
    ["X-Ids", "[12345678901234567890]"],
  ];
  expect(streamed[0]?.request.headers).toEqual(headers);
  expect((await sweeps.once()).rows[0]?.request.headers).toEqual(headers);
});

test("P2: a sweep of an outbox whose rows may be hidden fails, instead of finding less", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  await using sweeps = await openSweeps({ url: await role.own(db) });
  await insert(db, null);
  expect((await sweeps.once()).rows).toHaveLength(1);
  await db.query("alter table net.http_request_queue enable row level security, force row level security");
  await expect(sweeps.once()).rejects.toMatchObject({
    code: "PG_REFUSED",
    message: expect.stringMatching(/^row security holds for role .* on net\.http_request_queue/) as unknown,
    hint: expect.stringMatching(/bypassrls;/) as unknown,
  });
  await db.query(`alter role ${role.name} bypassrls`);
  expect((await sweeps.once()).rows).toHaveLength(1);
});
