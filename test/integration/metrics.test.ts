import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { scrape } from "../support/scrape.ts";

test("the way of a request shows in every histogram, and a heartbeat comes back through the WAL", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_get($1) from generate_series(1, 5)", [receiver.url()]);
  await emptied(db);
  const metrics = await eventually(async () => {
    const scraped = await scrape(daemon.address);
    return scraped.value("pgnetd_heartbeat_round_trip_seconds_count") === 1 && scraped;
  });
  expect(metrics.value('pgnetd_requests_ended_total{outcome="2xx"}')).toBe(5);
  for (const histogram of ["commit_to_start", "start_to_answer", "answer_to_stored"]) {
    expect(metrics.value(`pgnetd_${histogram}_seconds_count`)).toBe(5);
    const mean = metrics.value(`pgnetd_${histogram}_seconds_sum`) / 5;
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(60);
  }
  expect(metrics.value("process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
  expect(metrics.text).toContain(`pgnetd_leader{database="${db.name}"} 1`);
});

test("P8: heartbeats are written by scrapes alone, one in ten seconds at most, and none where they are turned off", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`${db.name}_watch`]);
  const heartbeats = async (): Promise<unknown> => {
    const [found] = await db.query(
      `select count(*)::int as count from pg_logical_slot_peek_binary_changes(
         $1, null, null, 'proto_version', '1', 'publication_names', 'pgnetd_outbox', 'messages', 'true')
       where position('{"heartbeat"'::bytea in data) > 0`,
      [`${db.name}_watch`],
    );
    return found?.["count"];
  };
  {
    await using daemon = await startInProcess(db.url, { PGNETD_METRICS_HEARTBEAT: "false" });
    await scrape(daemon.address);
    await db.query("select net.http_get($1)", [receiver.url()]);
    await emptied(db);
    expect(await heartbeats()).toBe(0);
  }
  await using daemon = await startInProcess(db.url);
  await db.query("select net.http_get($1)", [receiver.url()]);
  await emptied(db);
  expect(await heartbeats()).toBe(0);
  await scrape(daemon.address);
  await eventually(async () => (await scrape(daemon.address)).value("pgnetd_heartbeat_round_trip_seconds_count") === 1);
  expect(await heartbeats()).toBe(1);
});

test("while the schema is waited for, the slot is shown, and nothing that is read of the outbox", async () => {
  await using db = await testDatabase({ migrated: false });
  await using daemon = await startInProcess(db.url, {}, "starting");
  const none = await scrape(daemon.address);
  expect(none.value('pgnetd_slot_health{health="missing"}')).toBe(1);
  expect(none.value("pgnetd_slot_retained_bytes")).toBeNaN();
  await db.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`pgnetd_${db.name}`]);
  // A view that is read fails.
  await db.query("create schema net; create view net.http_request_queue as select 1 / 0 as id");
  const found = await eventually(async () => {
    const scraped = await scrape(daemon.address);
    return scraped.value('pgnetd_slot_health{health="ok"}') === 1 && scraped;
  });
  expect(found.value("pgnetd_slot_retained_bytes")).toBeGreaterThanOrEqual(0);
  expect(found.value("pgnetd_slot_confirmed_lag_bytes")).toBeGreaterThanOrEqual(0);
  expect(found.value("pgnetd_slot_active")).toBe(0);
  expect(found.value("pgnetd_database_up")).toBe(1);
  expect(found.value("pgnetd_database_read")).toBe(0);
  expect(found.value("pgnetd_outbox_rows")).toBeNaN();
  expect(daemon.lines.filter(({ message }) => String(message).startsWith("metrics of the database"))).toEqual([]);
});
