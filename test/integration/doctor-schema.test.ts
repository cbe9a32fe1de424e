import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { doctor } from "../support/doctor.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { testDatabase } from "../support/postgres.ts";

test("schema-version fails where nothing is installed, and what needs it is skipped", async () => {
  await using db = await testDatabase({ migrated: false });
  const report = await doctor(db.url, "--only", "schema,rights");
  expect(report.ids("fail")).toEqual(["schema-version"]);
  expect(report.of("schema-version")).toMatchObject({ fix: expect.stringContaining("pgnetd migrate") as unknown });
  expect(report.of("table-rights")).toMatchObject({
    status: "skip",
    found: "not looked at, since schema-version failed",
  });
  const before = await doctor(db.url, "--pre", "--only", "schema,rights");
  expect(before.ids("fail")).toEqual([]);
  expect(before.failure).toBeNull();
});

test("schema-version fails where the schema is of another version", async () => {
  await using db = await testDatabase();
  await db.query("insert into net.pgnetd_migrations (version, name) values (9999, 'later')");
  expect((await doctor(db.url, "--only", "schema-version")).of("schema-version")).toMatchObject({
    status: "fail",
    found: expect.stringMatching(/^the schema is of version 9999, this pgnetd knows \d+$/) as unknown,
  });
});

test("extension-pg-net fails where an extension owns schema net, before anything is installed", async () => {
  await using db = await testDatabase({ migrated: false });
  await db.query("create schema net; create extension citext schema net");
  const report = await doctor(db.url, "--pre", "--only", "schema");
  expect(report.of("extension-pg-net")).toMatchObject({
    status: "fail",
    found: "schema net belongs to the extension citext",
    fix: "pgnetd needs a schema net of its own: drop extension citext, or use another database.",
  });
  await db.query("drop extension citext");
  expect((await doctor(db.url, "--pre", "--only", "schema")).failure).toBeNull();
});

test("schema-objects fails for what is missing, with the statement that makes an index, and warns of what was altered", async () => {
  await using db = await testDatabase();
  const look = async (): Promise<unknown> => (await doctor(db.url, "--only", "schema-objects")).of("schema-objects");
  expect(await look()).toMatchObject({ status: "ok" });
  await db.query("alter table net._http_response add column extra int; create table net.own (id int)");
  expect(await look()).toMatchObject({ status: "ok" });
  await migrate(db.url, { grants: { kind: "restricted", callers: "pg_monitor" } });
  await db.query("alter function net.http_get(text, jsonb, jsonb, integer) set statement_timeout = '3s'");
  expect(await look()).toMatchObject({ status: "ok" });
  await db.query("drop index net._http_response_created_idx");
  expect(await look()).toMatchObject({
    status: "fail",
    found: "missing: index net._http_response_created_idx",
    fix: "put back what sql/schema.snapshot.sql has: CREATE INDEX _http_response_created_idx ON net._http_response USING btree (created);",
  });
  await db.query("CREATE INDEX _http_response_created_idx ON net._http_response USING btree (created)");
  await db.query("alter table net.http_request_queue alter column body set default ''");
  await db.query("alter table net.http_request_queue alter column installation_mark drop default");
  await db.query(`create or replace function net.wake() returns void language sql set search_path = pg_catalog, pg_temp
    as 'select null'`);
  expect(await look()).toMatchObject({
    status: "warn",
    found:
      "altered: column net.http_request_queue.body, column net.http_request_queue.installation_mark, function net.wake()",
  });
  await db.query("alter function net.http_get(text, jsonb, jsonb, integer) reset search_path");
  expect(await look()).toMatchObject({ found: expect.stringContaining("function net.http_get(") as unknown });
});

test("environment fails for a database of another one", async () => {
  await using db = await testDatabase();
  await db.query("update net.pgnetd_installation set environment = 'production', place = null");
  expect((await doctor(db.url, "--only", "environment")).of("environment")).toMatchObject({
    status: "fail",
    found: "this database is recorded for the environment production, and no environment is set here",
  });
});

test("schema-owner fails for a schema of a role that is not to be trusted", async () => {
  await using stranger = await daemonRole();
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  await stranger.own(db);
  const url = role.login(db.url);
  const report = await doctor(url, "--only", "schema-owner,schema-version");
  expect(report.of("schema-owner")).toMatchObject({
    status: "fail",
    found: `schema net belongs to role ${stranger.name}, whose code would run with the rights of ${role.name}`,
  });
  expect(report.of("schema-version")).toMatchObject({ status: "skip" });
});

test("replication-right, create-right and table-rights fail for a role without them, and its remedies mend them", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase();
  const url = role.login(db.url);
  await db.query(`alter role ${role.name} noreplication`);
  await db.query(`revoke all on all tables in schema net from public;
    grant usage on schema net to public; grant select on net.pgnetd_migrations to public`);
  const rights = await doctor(url, "--only", "replication-right,table-rights");
  const before = await doctor(url, "--pre", "--only", "create-right");
  expect([...rights.ids("fail"), ...before.ids("fail")]).toEqual(["table-rights", "replication-right", "create-right"]);
  const lacking = rights.of("table-rights").found.replace(`role ${role.name} lacks `, "").split("; ");
  expect(new Set(lacking)).toEqual(
    new Set([
      "select, update, delete on net.http_request_queue",
      "select, insert, delete on net._http_response",
      "select, insert, delete on net.http_response_detail",
      "select, insert, delete on net.http_dead_letter",
      "select on net.http_host_settings",
      "insert, delete on net.http_lane_activity",
      "select, update on net.pgnetd_installation",
      "select on net.pgnetd_parts",
    ]),
  );
  const fixes = [rights.of("replication-right"), rights.of("table-rights"), before.of("create-right")];
  for (const { fix = "" } of fixes) await db.query(fix);
  expect((await doctor(url, "--only", "replication-right,table-rights")).failure).toBeNull();
  expect((await doctor(url, "--pre", "--only", "create-right")).failure).toBeNull();
});

test("row-security fails where it holds for the role, and its remedy mends it; it is ok for a superuser and the owner", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  const url = await role.own(db);
  const look = async (as: string) => (await doctor(as, "--only", "row-security")).of("row-security");
  expect((await look(url)).status).toBe("ok");
  await db.query("alter table net.http_request_queue enable row level security");
  expect((await look(url)).status).toBe("ok");
  await db.query("alter table net.http_request_queue force row level security");
  expect((await look(db.url)).status).toBe("ok");
  const { status, found, fix = "" } = await look(url);
  expect({ status, found }).toEqual({
    status: "fail",
    found: `row security holds for role ${role.name} on net.http_request_queue: rows may be hidden from it`,
  });
  expect(fix).toContain("alter table net.http_request_queue disable row level security;");
  await db.query(fix);
  expect((await look(url)).status).toBe("ok");
});
