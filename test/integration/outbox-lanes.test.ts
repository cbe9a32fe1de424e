import fc from "fast-check";
import { expect, test } from "vitest";
import { laneOf, laneSql } from "../../src/outbox/lane.ts";
import { type LaneCursor, sweep, type SweepPlan, type SweepResult } from "../../src/outbox/sweep.ts";
import { openPool } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

const PLAN = sweepPlan({ rows: 1_000, perLane: 100, bytes: 1 << 24 });

async function sweepOnce(db: TestDatabase, plan: Partial<SweepPlan> = {}): Promise<SweepResult> {
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  return await sweep(
    pool,
    { ...PLAN, ...plan },
    { maxRedirects: 5, installationMarks: [], assertSame: () => undefined },
  );
}

async function insert(db: TestDatabase, url: string, count: number): Promise<void> {
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', $1 || g, 1000 from generate_series(1, $2::int) g`,
    [url, count],
  );
}

function idsByLane({ rows }: SweepResult): ReadonlyMap<string, readonly bigint[]> {
  const byLane = new Map<string, bigint[]>();
  for (const { lane, request } of rows) byLane.set(lane, [...(byLane.get(lane) ?? []), request.id]);
  return byLane;
}

const part = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ unit: "binary", minLength: 2_000, maxLength: 2_100 }),
  fc.constantFrom(
    "http://",
    "https://",
    "HTTP://",
    "//",
    "/",
    "@",
    ":",
    "User:pa@ss@",
    "EXAMPLE.com",
    "ÄÖ.example",
    "?",
    "#",
    "\\",
    "İ",
  ),
);
const scheme = fc.constantFrom("", "", "http://", "Https://");
const text = fc
  .tuple(scheme, fc.array(part, { maxLength: 8 }))
  .map(([begin, parts]) => [begin, ...parts].join("").toWellFormed().replaceAll("\0", ""));

test("P6: the lane of a row is the same in SQL and in the daemon, whatever its url and name", async () => {
  await using db = await testDatabase();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(text, fc.option(text)), { minLength: 50, maxLength: 200 }), async (given) => {
      const rows = await db.query<{ lane: string }>(
        `select ${laneSql("q")} as lane from unnest($1::text[], $2::text[]) with ordinality as q (url, lane, n) order by n`,
        [given.map(([url]) => url), given.map(([, name]) => name)],
      );
      expect(rows.map(({ lane }) => lane)).toEqual(given.map(([url, name]) => laneOf(url, name)));
    }),
    { numRuns: 25 },
  );
});

test("P9: no url and no name of a lane makes an insert fail", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, lane, timeout_milliseconds)
    select 'GET', url, lane, 1 from unnest($1::text[]) url, unnest($2::text[]) lane`,
    [
      ["", "x", `http://${"ü".repeat(100_000)}/`, `http://${"a".repeat(1_000_000)}`],
      ["", "n".repeat(1_000_000), null],
    ],
  );
  expect((await sweepOnce(db)).rows).toHaveLength(12);
});

test("P2: a sweep brings a row whose id was given again, to one made at another time than the row in memory", async () => {
  await using db = await testDatabase();
  await insert(db, "http://a/", 2);
  const before = (await sweepOnce(db)).rows.map(({ request }) => request);
  await db.query("delete from net.http_request_queue where id = 1");
  await db.query(
    "insert into net.http_request_queue (id, method, url, timeout_milliseconds) values (1, 'GET', 'http://a/', 1)",
  );
  const after = (await sweepOnce(db, { known: before })).rows.map(({ request }) => request.id);
  expect([before.map(({ id }) => id), after]).toEqual([[1n, 2n], [1n]]);
});

test("P6: a sweep reads the lowest ids of every lane, as far as each has room, and names the lanes it left rows of", async () => {
  await using db = await testDatabase();
  await insert(db, "http://flood.example/", 50_000);
  await insert(db, "http://quiet.example/", 3);
  await insert(db, "http://full.example/", 10);
  const made = await db.query<{ id: string; created: string }>(
    "select id::text, created::text from net.http_request_queue where id < 3 order by id",
  );
  const found: SweepResult = await sweepOnce(db, {
    known: made.map(({ id, created }) => ({ id: BigInt(id), created })),
    shares: [
      { lane: "flood.example", queued: 2, room: 98 },
      { lane: "full.example", queued: 100, room: 0 },
    ],
  });
  const byLane = idsByLane(found);
  expect(byLane.get("flood.example")).toEqual(Array.from({ length: 98 }, (_, index) => BigInt(index + 3)));
  expect(byLane.get("quiet.example")).toHaveLength(3);
  expect(byLane.get("full.example")).toBeUndefined();
  expect({ left: found.left.toSorted(), isWhole: found.isWhole }).toEqual({
    left: ["flood.example", "full.example"],
    isWhole: true,
  });
});

test("P6: a sweep of some lanes reads their first rows and their due ones, and nothing of others", async () => {
  await using db = await testDatabase();
  for (const name of ["a", "b", "c"]) await insert(db, `http://${name}/`, 50);
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
    select 'GET', 'http://' || lane || '/', 1000, now() + due from unnest($1::text[], $2::interval[]) d (lane, due)`,
    [
      ["a", "b", "a", "d"],
      ["-1 s", "-1 s", "1 h", "-1 s"],
    ],
  );
  const found: SweepResult = await sweepOnce(db, {
    lanes: "shares",
    shares: [
      { lane: "a", queued: 0, room: 5 },
      { lane: "c", queued: -1_000, room: 90 },
      { lane: "d", queued: 3, room: 2 },
      { lane: "none", queued: 0, room: 5 },
    ],
  });
  const sizes = [...idsByLane(found)].map(([lane, ids]) => [lane, ids.length]);
  expect(Object.fromEntries(sizes)).toEqual({ a: 5, c: 50, d: 1 });
  expect(found.rows.filter(({ nextAttemptAt }) => nextAttemptAt !== null).map(({ lane }) => lane)).toEqual(["a", "d"]);
  expect({ left: found.left, isWhole: found.isWhole, next: found.next }).toEqual({
    left: ["a"],
    isWhole: true,
    next: null,
  });
  expect(found.nextDueMs).toBeGreaterThan(3_000_000);
});

test("P6: where memory has not room for all, lanes of which least waits come first, each with as many as any other", async () => {
  await using db = await testDatabase();
  for (const name of ["a", "b", "c"]) await insert(db, `http://${name}/`, 50);
  const found: SweepResult = await sweepOnce(db, { rows: 11, shares: [{ lane: "a", queued: 4, room: 96 }] });
  const sizes = [...idsByLane(found)].map(([lane, ids]) => [lane, ids.length]);
  expect(Object.fromEntries(sizes)).toEqual({ a: 1, b: 5, c: 5 });
  expect(found.left.toSorted()).toEqual(["a", "b", "c"]);
});

test("P6: a million rows that are due at once keep no row of another lane from being read", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
    select 'GET', 'http://due.example/', 1000, now() - g * interval '1 ms' from generate_series(1, 100000) g`,
  );
  await insert(db, "http://due.example/fresh", 50_000);
  await insert(db, "http://other.example/", 1);
  const found: SweepResult = await sweepOnce(db);
  expect(idsByLane(found).get("other.example")).toHaveLength(1);
  const due = found.rows.filter(({ nextAttemptAt }) => nextAttemptAt !== null);
  expect([due.length, found.rows.length]).toEqual([50, 101]);
  expect(found.left).toEqual(["due.example"]);
});

test("P2: more lanes than one sweep looks at are read by several, the next beginning where the one before stopped", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://host' || g || '.example/', 1000 from generate_series(1, 12000) g`,
  );
  const seen = new Set<bigint>();
  let from: LaneCursor | null = null;
  for (let sweeps = 0; sweeps < 4 && seen.size < 12_000; sweeps += 1) {
    const found: SweepResult = await sweepOnce(db, { from, rows: 20_000, perLane: 10 });
    for (const { request } of found.rows) seen.add(request.id);
    expect(found.isWhole).toBe(false);
    from = found.next;
  }
  expect([seen.size, from]).toEqual([12_000, null]);
});

test("P6: lanes in memory of which the outbox has nothing take no room from the others, and are not behind", async () => {
  await using db = await testDatabase();
  await insert(db, "http://flood.example/", 5_000);
  const shares = Array.from({ length: 1_000 }, (_, index) => ({ lane: `idle${index}`, queued: -1_000_000, room: 50 }));
  const found: SweepResult = await sweepOnce(db, { rows: 4_000, perLane: 3_000, shares });
  expect([found.rows.length, found.left]).toEqual([3_000, ["flood.example"]]);
});

test("P6: lanes that come first do so wherever they are among others, and whatever waits in these", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://host' || g || '.example/', 1000 from generate_series(1, 6000) g`,
  );
  await insert(db, "http://zz.example/", 2);
  const shares = [{ lane: "zz.example", queued: -1_000_000, room: 50 }];
  const found: SweepResult = await sweepOnce(db, { rows: 100, shares });
  expect(found.rows.slice(0, 2).map(({ lane }) => lane)).toEqual(["zz.example", "zz.example"]);
  expect(found.isWhole).toBe(false);
});

test.each([
  ["named or not", [{ lane: "quick.test tenant 1", queued: -1_000_000, room: 20 }]],
  ["some with much queued", [{ lane: "quick.test tenant 2", queued: 50, room: 20 }]],
])("P6: all lanes of an authority that comes first do so, %s, and as much is read of each", async (_, shares) => {
  await using db = await testDatabase();
  for (let silent = 0; silent < 10; silent++) await insert(db, `http://silent${silent}.test/`, 50);
  await db.query(
    `insert into net.http_request_queue (method, url, lane, timeout_milliseconds)
    select 'GET', 'http://quick.test/', 'tenant ' || g % 10, 1000 from generate_series(1, 200) g`,
  );
  const found = await sweepOnce(db, { rows: 100, authorities: ["quick.test"], shares });
  const counts = new Map([...idsByLane(found)].map(([lane, ids]) => [lane, ids.length]));
  const other = shares.find(({ queued }) => queued > 0)?.lane;
  const lanes = Array.from({ length: 10 }, (_value, tenant) => `quick.test tenant ${tenant}`).filter(
    (one) => one !== other,
  );
  const counted = lanes.map((lane) => counts.get(lane) ?? 0);
  expect(Math.max(...counted) - Math.min(...counted)).toBeLessThanOrEqual(1);
  expect([...counts.keys()].toSorted()).toEqual(lanes);
});

test("P6: of a lane that comes first as much is read as fits, however many other lanes there are", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://silent' || g % 1000 || '.test/', 1000 from generate_series(1, 3000) g`,
  );
  await insert(db, "http://first.test/", 150);
  const found = await sweepOnce(db, { rows: 300, shares: [{ lane: "first.test", queued: -1_000, room: 200 }] });
  expect(found.rows.length).toBe(300);
  expect(idsByLane(found).get("first.test")).toHaveLength(150);
  expect(found.left).not.toContain("first.test");
});

test("P6: where one row of each lane does not fit, each lane has its turn in some sweep, whatever its ids", async () => {
  await using db = await testDatabase();
  for (let lane = 0; lane < 10; lane++) await insert(db, `http://lane${lane}.test/`, 10);
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  const read = new Set<string>();
  await eventually(async () => {
    const { rows } = await sweep(
      pool,
      { ...PLAN, rows: 2 },
      { maxRedirects: 5, installationMarks: [], assertSame: () => undefined },
    );
    for (const { lane } of rows) read.add(lane);
    expect(read.size).toBe(10);
    return true;
  });
});

test("P6 P8: requests that are not due are no lanes to read, however many destinations they have", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
    select 'GET', 'http://host' || g || '.example/', 1000, now() + interval '1 day' from generate_series(1, 12000) g`,
  );
  expect(await sweepOnce(db)).toMatchObject({ rows: [], left: [], isWhole: true });
  await db.query("update net.http_request_queue set next_attempt_at = now()");
  const found = await sweepOnce(db, { rows: 20_000, perLane: 10 });
  expect([found.rows.length >= 5_000, found.isWhole]).toEqual([true, false]);
});

test("P6: of a long url or name no more is unpacked than says its lane", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, lane, timeout_milliseconds)
    select 'GET', 'http://host' || g || '.example/' || repeat('a', 4000000), repeat('x', 2000000), 1000 from generate_series(1, 10) g`,
  );
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  const timed = async (text: string): Promise<number> => {
    const since = performance.now();
    await pool.query({ text });
    return performance.now() - since;
  };
  const unpacked = await timed("select max(length(url)) + max(length(lane)) from net.http_request_queue");
  const plan = { rows: 10, bytes: 1, perLane: 10 };
  let quickest = Infinity;
  for (let sweeps = 0; sweeps < 4; sweeps += 1) {
    const since = performance.now();
    await sweepOnce(db, plan);
    quickest = Math.min(quickest, performance.now() - since);
  }
  expect(quickest).toBeLessThan(unpacked);
});

test("callers may name a lane within a destination", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_request('GET', 'http://User@API.example:8080/x', lane := 'tenant 42')");
  await db.query(
    "select net.http_request('POST', 'http://api.example/', 'text', lane := 'tenant 42', deduplication_key := 'k')",
  );
  await db.query("select net.http_request('POST', 'http://api.example/', '{}'::jsonb)");
  const { rows } = await sweepOnce(db);
  expect(rows.map(({ lane }) => lane).toSorted()).toEqual([
    "api.example",
    "api.example tenant 42",
    "api.example:8080 tenant 42",
  ]);
});
