import pg from "pg";
import { describe, expect, test } from "vitest";
import { startPostgres } from "../../demo/embedded-postgres.ts";
import { dataParent } from "../support/data-parent.ts";
import { doctor, doctorWith, type FoundByDoctor } from "../support/doctor.ts";
import { encodedDatabase } from "../support/encoded-database.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { readMostRetained } from "../../src/doctor/wal-limit.ts";
import { binariesUnderTest, wantedMajor } from "../support/postgres-versions.ts";

/** What one check says of a database. */
async function look(url: string, id: string): Promise<FoundByDoctor> {
  return (await doctor(url, "--only", id)).of(id);
}

describe("leader", () => {
  test("fails while no daemon leads", async () => {
    await using db = await testDatabase();
    expect(await look(db.url, "leader")).toMatchObject({
      status: "fail",
      found: "no pgnetd leads this database, so that requests wait",
      fix: expect.stringMatching(/^Start one: pgnetd run\./) as unknown,
    });
  });

  test("fails while a session that is no pgnetd has the lock, and the remedy ends it", async () => {
    await using db = await testDatabase();
    const client = new pg.Client({ connectionString: db.url, application_name: "psql" });
    client.on("error", () => undefined);
    await client.connect();
    await client.query("select pg_advisory_lock(1885826676, 0)");
    const { status, found, fix = "" } = await look(db.url, "leader");
    expect({ status, found }).toMatchObject({
      status: "fail",
      found: expect.stringMatching(/^process \d+ \(psql, role \S+\) has the leader's lock/) as unknown,
    });
    await db.query(fix.replace("End it: ", ""));
    await eventually(async () => (await look(db.url, "leader")).found.startsWith("no pgnetd leads"));
  });
});

test("leader warns of a session that is no pgnetd and waits for the lock, and of no daemon that does", async () => {
  await using db = await testDatabase();
  await using _leader = await startInProcess(db.url);
  await using _standby = await startInProcess(db.url, {}, "standby");
  expect(await look(db.url, "leader")).toMatchObject({ status: "ok" });
  const client = new pg.Client({ connectionString: db.url, application_name: "report-job" });
  client.on("error", () => undefined);
  await client.connect();
  const waiting = client.query("select pg_advisory_lock(1885826676, 0)").catch(() => undefined);
  const { found, fix = "" } = await eventually(async () => {
    const now = await look(db.url, "leader");
    return now.status === "warn" && now;
  });
  expect(found).toMatch(/^process \d+ \(report-job, role \S+\) waits for the leader's lock and is no pgnetd: /);
  await db.query(fix.replace("End it: ", ""));
  await waiting;
  expect(await look(db.url, "leader")).toMatchObject({ status: "ok" });
});

describe("publications", () => {
  test("fails for one that is gone, and the remedy makes it", async () => {
    await using db = await testDatabase();
    await db.query("drop publication pgnetd_outbox");
    const { status, found, fix = "" } = await look(db.url, "publications");
    expect(status).toBe("fail");
    // Until the daemon has noticed, nothing is sent.
    expect(found).toMatch(/requests do not come by the stream\. A daemon notices within seconds, and sweeps/);
    await db.query(fix.replace("Make it: ", ""));
    expect(await look(db.url, "publications")).toMatchObject({ status: "ok" });
  });

  test.runIf(wantedMajor() >= 15).each([
    ["a row filter", "alter publication pgnetd_outbox set table net.http_request_queue where (id > 0)"],
    ["a list of columns", "alter publication pgnetd_outbox set table net.http_request_queue (id, url)"],
    ["updates alone", "alter publication pgnetd_outbox set (publish = 'update')"],
  ])("fails for %s that somebody gave ours", async (_, statement) => {
    await using db = await testDatabase();
    await db.query("alter table net.http_request_queue replica identity full");
    await db.query(statement);
    expect(await look(db.url, "publications")).toMatchObject({
      status: "fail",
      found: expect.stringContaining('publication "pgnetd_outbox" does not publish every insert') as unknown,
    });
  });
});

describe("slot", () => {
  test("fails where somebody else reads it", async () => {
    await using db = await testDatabase();
    const name = `pgnetd_${db.name}`;
    await db.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    expect(await look(db.url, "slot")).toMatchObject({ status: "ok" });
    const replication = { connectionString: db.url, replication: "database" };
    const reader = new pg.Client(replication);
    reader.on("error", () => undefined);
    await reader.connect();
    reader
      .query(`START_REPLICATION SLOT ${name} LOGICAL 0/0 (proto_version '1', publication_names 'pgnetd_outbox')`)
      .catch(() => undefined);
    await eventually(async () => (await look(db.url, "slot")).status === "fail");
    expect(await look(db.url, "slot")).toMatchObject({
      found: expect.stringMatching(/^replication slot "\S+" is active for PID \d+$/) as unknown,
    });
    await db.query("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", [name]);
    await reader.end().catch(() => undefined);
  });

  test("fails where its name is that of another database's", async () => {
    await using db = await testDatabase();
    await using other = await testDatabase();
    await other.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`${other.name}_slot`]);
    const env = { DATABASE_URL: db.url, PGNETD_SLOT_NAME: `${other.name}_slot` };
    expect((await doctorWith(env, "--only", "slot")).of("slot")).toMatchObject({
      status: "fail",
      found: `replication slot "${other.name}_slot" belongs to database "${other.name}"`,
    });
  });
});

test("slot-creation fails while a transaction keeps the daemon's slot from being created, and names its session", async () => {
  await using db = await testDatabase();
  const client = await db.pool.connect();
  try {
    await client.query("begin; select pg_current_xact_id()");
    await using _daemon = await startInProcess(db.url, {}, "polling");
    const found = await eventually(async () => {
      const now = await look(db.url, "slot-creation");
      return now.status === "fail" && now.found;
    });
    expect(found).toMatch(/^replication slot "\S+" can be made when these have ended: process \d+/);
    await client.query("rollback");
  } finally {
    client.release(true);
  }
});

describe("slot-plugin", () => {
  test("warns of a slot of another plugin", async () => {
    await using db = await testDatabase();
    await db.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [`pgnetd_${db.name}`]);
    expect(await look(db.url, "slot-plugin")).toMatchObject({
      status: "warn",
      found: "the slot was made for test_decoding, and slot.plugin is pgoutput: the next start recreates it",
    });
  });

  test("fails for a plugin that the server does not trust, and the remedy adds it to those that it does", async ({
    skip,
  }) => {
    await using db = await testDatabase();
    const [known] = await db.query("select from pg_settings where name = 'output_plugin_libraries'");
    if (known === undefined) return skip("this release has no output_plugin_libraries");
    // Without the settings that tests give a server at its start: these would win over the remedy.
    await using server = await startPostgres({ binaries: await binariesUnderTest(), parent: dataParent() });
    const env = { DATABASE_URL: server.url(), PGNETD_SLOT_PLUGIN: "wal2json" };
    const report = async (): Promise<FoundByDoctor> =>
      (await doctorWith(env, "--only", "slot-plugin")).of("slot-plugin");
    const client = new pg.Client({ connectionString: server.url() });
    client.on("error", () => undefined);
    await client.connect();
    await client.query("alter system set output_plugin_libraries = 'pgoutput', 'test_decoding'");
    await client.query("select pg_reload_conf()");
    const fix = await eventually(async () => {
      const now = await report();
      expect(now).toMatchObject({ status: "fail", found: "the server trusts pgoutput, test_decoding" });
      return now.fix ?? "";
    });
    for (const statement of fix.split("; ")) await client.query(statement);
    await eventually(async () => (await report()).status === "ok");
    const slot = "select pg_create_logical_replication_slot($1, $2, true)";
    // PostgreSQL's own check: the plugins trusted before are among them.
    for (const plugin of ["pgoutput", "test_decoding", "wal2json"]) await client.query(slot, [`by_${plugin}`, plugin]);
    await client.end();
  });

  test("fails for wal2json and a database that is not in UTF8", async () => {
    await using db = await encodedDatabase("LATIN1");
    const env = { DATABASE_URL: db.url, PGNETD_SLOT_PLUGIN: "wal2json" };
    expect((await doctorWith(env, "--only", "slot-plugin")).of("slot-plugin")).toMatchObject({
      status: "fail",
      found: "what wal2json brings from a database in LATIN1 cannot be read",
    });
  });
});

test("replica-identity fails where rows of a published table cannot be deleted, and the remedy lets them", async () => {
  await using db = await testDatabase();
  await db.query("insert into net._http_response (id) values (1)");
  await db.query("alter table net._http_response replica identity nothing; create publication whole for all tables");
  await expect(db.query("delete from net._http_response")).rejects.toMatchObject({ code: "55000" });
  const { status, found, fix = "" } = await look(db.url, "replica-identity");
  expect({ status, found }).toEqual({
    status: "fail",
    found: "PostgreSQL refuses to update and delete rows of net._http_response (in publication whole)",
  });
  await db.query(fix);
  await db.query("delete from net._http_response");
  expect(await look(db.url, "replica-identity")).toMatchObject({ status: "ok" });
});

test("foreign-publications warns of one for all tables, and is silent about one without ours", async () => {
  await using db = await testDatabase();
  await db.query("create table own (id int primary key); create publication own for table own");
  expect(await look(db.url, "foreign-publications")).toMatchObject({ status: "ok" });
  await db.query("create publication whole for all tables");
  expect(await look(db.url, "foreign-publications")).toMatchObject({
    status: "warn",
    found: expect.stringMatching(/^who subscribes to whole receives requests/) as unknown,
    fix: expect.stringContaining("drop publication whole") as unknown,
  });
});

test("the slot of the whole server that retains most WAL is the one that a limit must leave alone", async () => {
  await using db = await testDatabase();
  const slot = `${db.name}_standby`;
  await db.query("select pg_create_physical_replication_slot($1, true)", [slot]);
  try {
    await db.query("select pg_logical_emit_message(true, 'test', repeat('x', 100000))");
    expect((await readMostRetained(db.pool))?.bytes).toBeGreaterThan(100_000);
  } finally {
    await db.query("select pg_drop_replication_slot($1)", [slot]);
  }
});
