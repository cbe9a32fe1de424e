import type pg from "pg";
import { expect, test } from "vitest";
import { readDatabase } from "../../src/metrics/database-reading.ts";
import { openPool, type Queryable, type Statement } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";
import { startReceiver } from "../support/receiver.ts";
import { scrape } from "../support/scrape.ts";

interface Plan {
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
}

/**
 * How many pages the statements of a reading touch: the least of three. What a session looks up in the catalogs counts, too, and it does
 * so again where others change them.
 */
async function pagesOf(db: TestDatabase): Promise<number> {
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 60_000 });
  let pages = 0;
  const explained: Queryable = {
    async query<Row extends pg.QueryResultRow>({ text, values = [] }: Statement) {
      const plans = await pool.query<Record<"QUERY PLAN", readonly { readonly Plan: Plan }[]>>({
        text: `explain (analyze, buffers, format json) ${text}`,
        values,
      });
      const plan = plans.rows[0]?.["QUERY PLAN"][0]?.Plan;
      pages += (plan?.["Shared Hit Blocks"] ?? Number.NaN) + (plan?.["Shared Read Blocks"] ?? Number.NaN);
      return pool.query<Row>({ text, values });
    },
  };
  const readings: number[] = [];
  for (let reading = 0; reading < 3; reading++) {
    pages = 0;
    await readDatabase(explained, null);
    readings.push(pages);
  }
  return Math.min(...readings);
}

const FILL = `
insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
select 'GET', 'http://host-' || n % 500 || '.example/', 1000,
  case n % 3 when 0 then now() + n * interval '1 second' when 1 then now() - n * interval '1 second' end
from generate_series($1::int, $2::int) n`;

test("a scrape's statement touches no more pages of a queue of 200,000 than of 20,000, whatever the statistics say", async () => {
  await using db = await testDatabase();
  await db.query("alter table net.http_request_queue set (autovacuum_enabled = off)");
  await db.query(FILL, [1, 20_000]);
  const few = await pagesOf(db);
  await db.query(FILL, [20_001, 200_000]);
  const many = await pagesOf(db);
  expect(few).toBeGreaterThan(10);
  // One more level of an index is one more page for each of some hundred probes.
  expect(many).toBeLessThan(few * 1.5);
  await db.query("analyze net.http_request_queue");
  expect(await pagesOf(db)).toBeLessThan(few * 1.5);
});

test("rows are counted exactly while there are few, and estimated beyond; the oldest due is found behind deferred ones", async () => {
  await using db = await testDatabase();
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 60_000 });
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at, created)
     select 'GET', 'http://a.example/', 1000, now() + interval '1 hour', now() - interval '1 day' from generate_series(1, 999)`,
  );
  expect(await readDatabase(pool, null)).toMatchObject({ outboxRows: 999, deferredRows: 999, oldestDueSeconds: 0 });
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
     select 'GET', 'http://a.example/', 1000, now() + interval '1 hour' from generate_series(1, 4001)`,
  );
  // Its id is far above those that are looked at; its lane leads to it.
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, created)
     values ('GET', 'http://b.example/', 1000, now() - interval '700 seconds')`,
  );
  await eventually(async () => {
    // Before 15 a session that is idle keeps what it has to say of the last statements.
    await db.query("select");
    const { outboxRows, deferredRows, oldestDueSeconds } = await readDatabase(pool, null);
    expect(outboxRows).toBe(5_001);
    expect(deferredRows).toBeGreaterThanOrEqual(1_000);
    expect(Math.floor(oldestDueSeconds / 60)).toBe(11);
    return true;
  });
});

test("scrapes within a second have one answer", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url);
  const texts = await eventually(async () => {
    const startedAt = performance.now();
    const all = await Promise.all(Array.from({ length: 20 }, async () => (await scrape(daemon.address)).text));
    return performance.now() - startedAt < 1_000 && all;
  });
  // Twenty at once, one after the other they are answered; two, where the second began meanwhile.
  expect(new Set(texts).size).toBeLessThanOrEqual(2);
  const [first] = texts;
  await eventually(async () => (await scrape(daemon.address)).text !== first);
});

test.for(["refuses connections", "is silent"])(
  "where the database %s a scrape answers: it is not up, its numbers are missing, and all others are there",
  async (how) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using proxy = await startProxy(db.url);
    await using daemon = await startInProcess(proxy.through(db.url));
    await db.query("select net.http_get($1)", [receiver.url()]);
    await emptied(db);
    expect((await scrape(daemon.address)).value("pgnetd_database_up")).toBe(1);
    if (how === "is silent") proxy.pause();
    else {
      proxy.refuse(true);
      proxy.cut();
    }
    const away = await eventually(async () => {
      const metrics = await scrape(daemon.address);
      return metrics.value("pgnetd_database_up") === 0 && metrics.value("pgnetd_leader") === 0 && metrics;
    }, 25_000);
    proxy.resume();
    proxy.refuse(false);
    expect(away.value("pgnetd_stream_up")).toBe(0);
    expect(away.value("pgnetd_ready")).toBe(0);
    expect(away.value('pgnetd_slot_health{health="unknown"}')).toBe(1);
    expect(away.value('pgnetd_phase{phase="not-leading"}')).toBe(1);
    expect(away.value("pgnetd_outbox_rows")).toBeNaN();
    expect(away.value("pgnetd_slot_retained_bytes")).toBeNaN();
    expect(away.value('pgnetd_requests_ended_total{outcome="2xx"}')).toBe(1);
    await eventually(async () => {
      const metrics = await scrape(daemon.address);
      return metrics.value("pgnetd_database_up") === 1 && metrics.value("pgnetd_stream_up") === 1;
    }, 25_000);
  },
);

test("where only the reading for a scrape is slow, the database is up, and the server ends that statement within seconds", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url);
  const values = async (): Promise<readonly number[]> => {
    const metrics = await scrape(daemon.address);
    return [metrics.value("pgnetd_database_up"), metrics.value("pgnetd_database_read")];
  };
  expect(await values()).toEqual([1, 1]);
  const client = await db.pool.connect();
  await client.query("begin");
  await client.query("lock table net.http_dead_letter in access exclusive mode");
  await eventually(async () => (await values()).join() === "1,0");
  const lines = (): number =>
    daemon.lines.filter(({ message }) => String(message).startsWith("metrics of the database")).length;
  await eventually(() => lines() === 1);
  await values();
  expect(lines()).toBe(1);
  await client.query("rollback");
  client.release();
  await eventually(async () => (await values()).join() === "1,1");
});

test("1,000 hosts make no more series than 20, and a sum over all of them misses none", async () => {
  await using db = await testDatabase();
  await using daemon = await startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "unlimited" });
  await db.query(
    "select net.http_get('http://127.0.' || n / 250 || '.' || 1 + n % 250 || ':9/') from generate_series(0, 999) n",
  );
  await emptied(db);
  const metrics = await eventually(async () => {
    const scraped = await scrape(daemon.address);
    return scraped.sum("pgnetd_requests_ended_total") === 1_000 && scraped;
  });
  expect(metrics.sum("pgnetd_host_requests_ended_total")).toBe(1_000);
  const seconds = metrics.value("pgnetd_start_to_answer_seconds_sum");
  expect(metrics.sum("pgnetd_host_request_seconds_total")).toBeCloseTo(seconds, 6);
  expect(metrics.value('pgnetd_host_requests_ended_total{host="other",outcome="connect"}')).toBe(980);
  const hosts = new Set(metrics.names.flatMap((name) => /host="([^"]*)"/.exec(name)?.[1] ?? []));
  expect(hosts.size).toBe(21);
  expect(metrics.names.filter((name) => name.startsWith("pgnetd_")).length).toBeLessThan(400);
});

test("a daemon on standby says so, shows the same of the database, and writes no heartbeats", async () => {
  await using db = await testDatabase();
  await using first = await startInProcess(db.url);
  await using second = await startInProcess(db.url, {}, "standby");
  const [leader, standby] = [await scrape(first.address), await scrape(second.address)];
  expect([leader.value("pgnetd_leader"), leader.value("pgnetd_standby")]).toEqual([1, 0]);
  expect([standby.value("pgnetd_leader"), standby.value("pgnetd_standby")]).toEqual([0, 1]);
  expect(standby.value("pgnetd_ready")).toBe(1);
  expect(standby.value("pgnetd_stream_up")).toBe(0);
  expect(standby.value("pgnetd_slot_active")).toBe(1);
  expect(standby.value("pgnetd_slot_received_lag_bytes")).toBeNaN();
  expect(standby.value("pgnetd_heartbeats_sent_total")).toBe(0);
});
