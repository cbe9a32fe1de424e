import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { testServer } from "../support/server.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type DoctorReport, doctor } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import type { LocalPostgres } from "../../demo/embedded-postgres.ts";

/** A server with everything wrong that a server can have wrong. */
let server: LocalPostgres;
let report: DoctorReport;

beforeAll(async () => {
  server = await testServer({
    wal_level: "replica",
    max_replication_slots: "1",
    max_wal_senders: "0",
    autovacuum: "off",
  });
  await migrate(server.url());
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query("select pg_create_physical_replication_slot('left_behind', true)");
  await client.query("alter system set synchronous_standby_names = 'FIRST 2 (a, b)'");
  await client.query("select pg_reload_conf()");
  await client.end();
  report = await doctor(server.url());
});

afterAll(() => server[Symbol.asyncDispose]());

test.for([
  [
    "wal-level",
    /^wal_level is replica: there is no stream/,
    /^alter system set wal_level = 'logical'; -- then restart/,
  ],
  ["slots-free", /^1 of 1 replication slots are in use: there is none/, /max_replication_slots = '6'.*left_behind/],
  ["walsenders-free", /^0 of 0 walsenders are in use: there is none/, /max_wal_senders = '5'/],
  [
    "synchronous-standby",
    /^synchronous_standby_names is "FIRST 2 \(a, b\)", and 0 of 2 answer/,
    /^start these standby servers, or take out of synchronous_standby_names those that are gone/,
  ],
] as const)("%s fails on a server that has not what pgnetd needs", ([id, found, fix]) => {
  expect(report.of(id)).toMatchObject({
    status: "fail",
    found: expect.stringMatching(found) as unknown,
    fix: expect.stringMatching(fix) as unknown,
  });
});

test.for(["local", "off"])("synchronous-standby is ok where synchronous_commit is %s: nothing waits", async (value) => {
  const url = new URL(server.url());
  url.searchParams.set("options", `-c synchronous_commit=${value}`);
  expect((await doctor(url.href, "--only", "synchronous-standby")).of("synchronous-standby")).toMatchObject({
    status: "ok",
    found: `synchronous_commit is ${value}: commits wait for no standby server`,
  });
});

test("slot-wal-limit warns where a slot may retain WAL without limit", () => {
  expect(report.of("slot-wal-limit")).toMatchObject({
    status: "warn",
    fix: "alter system set max_slot_wal_keep_size = '4GB'; select pg_reload_conf();",
  });
});

test("autovacuum warns where the server does not run it", () => {
  expect(report.of("autovacuum")).toMatchObject({
    status: "warn",
    fix: "alter system set autovacuum = 'on'; select pg_reload_conf();",
  });
});

test("the cause comes before its consequences, failures before warnings, and the command fails", () => {
  const order = report.checks.map(({ id }) => id);
  expect(order.slice(0, 5)).toEqual(["synchronous-standby", "leader", "wal-level", "slots-free", "walsenders-free"]);
  expect(order.indexOf("walsenders-free")).toBeLessThan(order.indexOf("slot-wal-limit"));
  expect(report.failure).toMatchObject({
    code: "CHECK_FAILED",
    exitCode: 1,
    message: expect.stringMatching(/^synchronous-standby and \d+ more failed: synchronous_standby_names is/) as unknown,
  });
});

test("a server that does not answer is found, and nothing else is asked of it", async () => {
  const closed = new URL(server.url());
  closed.port = "1";
  const { checks, failure } = await doctor(closed.href);
  expect(checks[0]).toMatchObject({ id: "login", status: "fail" });
  expect(checks.filter(({ status }) => status === "fail")).toHaveLength(1);
  expect(failure).toMatchObject({ code: "CHECK_FAILED" });
});

test("P11: a wrong password is found and not shown", async () => {
  const wrong = new URL(server.url());
  wrong.password = "hunter2hunter2";
  const { checks } = await doctor(wrong.href);
  expect(checks[0]).toMatchObject({ id: "login", status: "fail" });
  expect(JSON.stringify(checks)).not.toContain("hunter2");
});

test("idle-slots warns of a slot that nobody reads and that retains more than a gibibyte, whichever database it is of, and not of the daemon's own", async () => {
  await using other = await testServer({ wal_init_zero: "off", wal_recycle: "off" });
  const client = new pg.Client({ connectionString: other.url() });
  await client.connect();
  try {
    await client.query("select pg_create_physical_replication_slot('left_behind', true)");
    await client.query("select pg_create_logical_replication_slot('pgnetd_' || current_database(), 'pgoutput')");
    expect((await doctor(other.url(), "--only", "idle-slots")).of("idle-slots")).toMatchObject({ status: "ok" });
    // Each switch skips the rest of a segment of 16 MiB.
    for (let segment = 0; segment < 66; segment++) {
      await client.query("select pg_logical_emit_message(false, 'a', 'b')");
      await client.query("select pg_switch_wal()");
    }
    expect((await doctor(other.url(), "--only", "idle-slots")).of("idle-slots")).toMatchObject({
      status: "warn",
      found: expect.stringMatching(
        /^nobody reads slot left_behind, which retains 1\d\d\d MiB of WAL: the disk fills$/,
      ) as unknown,
      fix: expect.stringContaining("select pg_drop_replication_slot('left_behind');") as unknown,
    });
  } finally {
    await client.end();
  }
});

test("what the daemon itself uses of a server is not counted against it", async () => {
  await using small = await testServer({ max_replication_slots: "1", max_wal_senders: "1" });
  await migrate(small.url());
  const client = new pg.Client({ connectionString: small.url() });
  await client.connect();
  try {
    await using _daemon = await startInProcess(small.url());
    const report = await doctor(small.url());
    expect(report.of("slots-free")).toMatchObject({
      status: "ok",
      found: "1 of 1 replication slots are in use, ours among them",
    });
    expect(report.of("walsenders-free")).toMatchObject({
      status: "warn",
      found: "1 of 1 walsenders are in use, one by pgnetd: there is none for a standby daemon",
    });
    // Without standby servers its session is the only one that * matches.
    await client.query("alter system set synchronous_standby_names = '*'");
    await client.query("select pg_reload_conf()");
    await eventually(async () => {
      expect((await doctor(small.url(), "--only", "synchronous-standby")).of("synchronous-standby")).toMatchObject({
        status: "warn",
        found: expect.stringMatching(
          /^synchronous_standby_names is "\*", which pgnetd's own session matches: /,
        ) as unknown,
      });
      return true;
    });
    await client.query("alter system reset synchronous_standby_names");
    await client.query("select pg_reload_conf()");
  } finally {
    await client.end();
  }
});
