import { expect, test } from "vitest";
import { type KnownRequest, sweep } from "../../src/outbox/sweep.ts";
import { openPool, type Queryable } from "../../src/pg/pool.ts";
import { encodedDatabase } from "../support/encoded-database.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

// A byte that WIN1252 has and no character for: the server takes it in, and cannot give it to a client that reads UTF-8.
const UNREADABLE = "chr(129)";
const PLAN = sweepPlan({ rows: 1_000, perLane: 1_000, bytes: 64 << 20 });
const DEFAULTS = { maxRedirects: 5, installationMarks: [], assertSame: (): void => undefined };

/** Counts the statements that go through it. */
function counting(db: Queryable): Queryable & { count: number } {
  const counted = {
    count: 0,
    query: ((statement) => {
      counted.count += 1;
      return db.query(statement);
    }) as Queryable["query"],
  };
  return counted;
}

test("P2: rows that make a sweep fail are found by halves: each is one defect, and all others are read", async () => {
  await using other = await encodedDatabase("WIN1252");
  await other.db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, headers, next_attempt_at)
    select 'GET', case n when 79 then 'http://' || ${UNREADABLE} || '/' else 'http://x/' end || n || case n when 77 then ${UNREADABLE} else '' end, 1000,
      case n when 78 then jsonb_build_object('X', ${UNREADABLE}) end, case when n % 3 = 0 then timestamptz '-infinity' end
    from generate_series(1, 90) n`,
  );
  await using pool = openPool({ url: other.url, size: 1, statementTimeoutMs: 20_000 });
  const db = counting(pool);
  const { rows, isWhole, left } = await sweep(db, PLAN, DEFAULTS);
  expect([rows.length, isWhole, left]).toEqual([90, true, []]);
  const defects = rows.filter(({ defect }) => defect !== null);
  expect(defects.map(({ request, defect }) => [request.id, defect])).toEqual([
    [79n, expect.stringMatching(/^it cannot be read: character .* \(22P05\)$/) as string],
    [78n, expect.stringMatching(/^it cannot be read: character .* \(22P05\)$/) as string],
    [77n, expect.stringMatching(/^it cannot be read: character .* \(22P05\)$/) as string],
  ]);
  expect(rows.filter(({ request }) => request.url === `http://x/${request.id}`)).toHaveLength(87);
  expect(db.count).toBeLessThan(2 + 6 * Math.ceil(Math.log2(90)));
});

test("P2: the rows beside one that cannot be read are read whatever the time zone of the connection that reads them", async () => {
  await using other = await encodedDatabase("WIN1252");
  await other.db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://x/' || case n when 2 then ${UNREADABLE} else '' end, 1000 from generate_series(1, 3) n`,
  );
  await using here = openPool({ url: other.url, size: 1, statementTimeoutMs: 20_000 });
  await here.query({ text: "set timezone = 'Asia/Tokyo'" });
  await using there = openPool({ url: other.url, size: 1, statementTimeoutMs: 20_000 });
  const db: Queryable = {
    query: (statement) => (statement.name === "pgnetd_read_ids" ? there : here).query(statement),
  };
  const { rows } = await sweep(db, PLAN, DEFAULTS);
  expect(rows.map(({ request, defect }) => [request.id, defect === null])).toEqual([
    [1n, true],
    [2n, false],
    [3n, true],
  ]);
});

test("P2: where many rows are bad a sweep reads a part of them, and the next ones the rest", async () => {
  await using other = await encodedDatabase("WIN1252");
  await other.db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://x/' || n || ${UNREADABLE}, 1000 from generate_series(1, 150) n`,
  );
  await using pool = openPool({ url: other.url, size: 1, statementTimeoutMs: 20_000 });
  const read: KnownRequest[] = [];
  for (let left = 1; left > 0;) {
    const found = await sweep(pool, { ...PLAN, known: read }, DEFAULTS);
    read.push(...found.rows.map(({ request }) => request));
    left = found.left.length;
  }
  expect(read.map(({ id }) => id)).toEqual(Array.from({ length: 150 }, (_, index) => BigInt(index + 1)));
});

test("a failure that may be the server's own is no row's defect", async () => {
  await using other = await encodedDatabase("UTF8");
  await other.db.query("select net.http_get('http://x/') from generate_series(1, 3)");
  await using pool = openPool({ url: other.url, size: 1, statementTimeoutMs: 20_000 });
  const broken = Object.assign(new Error("could not read block 7"), { code: "XX001" });
  const db: Queryable = {
    query: (statement) => (statement.name === "pgnetd_sweep_ids" ? pool.query(statement) : Promise.reject(broken)),
  };
  await expect(sweep(db, PLAN, DEFAULTS)).rejects.toBe(broken);
});

test.skipIf(SLOT_PLUGIN === "wal2json")(
  "P2 P4: a row that no client can read ends as an error, swept or streamed, and nobody else notices",
  async () => {
    await using other = await encodedDatabase("WIN1252");
    await using receiver = await startReceiver();
    const bad = `select net.http_get('http://x/' || ${UNREADABLE})`;
    const good = (path: string): Promise<unknown> => other.db.query("select net.http_get($1)", [receiver.url(path)]);
    await other.db.query(bad);
    await good("/swept");
    await using _daemon = await startInProcess(other.url);
    await receiver.waitFor(1);
    await other.db.query(bad);
    await good("/streamed");
    await receiver.waitFor(2, 20_000);
    await eventually(async () => (await other.db.query("select from net.http_request_queue")).rowCount === 0);
    const { rows } = await other.db.query("select error_msg from net._http_response where error_msg is not null");
    expect(rows).toEqual([1, 2].map(() => ({ error_msg: expect.stringContaining("it cannot be read") as string })));
  },
);
