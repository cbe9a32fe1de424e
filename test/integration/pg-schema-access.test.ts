import { expect, test } from "vitest";
import type { PgnetdError } from "../../src/base/errors.ts";
import { schemaProblem } from "../../src/pg/await-schema.ts";
import { connect } from "../../src/pg/connection.ts";
import { readInstallation } from "../../src/pg/installation.ts";
import { startDaemon } from "../support/daemon.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { eventually } from "../support/eventually.ts";
import { openTestPool } from "../support/pool.ts";
import { databaseUrl, type TestDatabase, testDatabase } from "../support/postgres.ts";

async function problem(db: TestDatabase): Promise<Partial<PgnetdError> | null> {
  const found = await schemaProblem(db.pool);
  return found === null ? null : { code: found.code, message: found.message, hint: found.hint };
}

test("what is missing is said where schema net is not there, or is somebody else's", async () => {
  await using db = await testDatabase({ migrated: false });
  expect(await problem(db)).toMatchObject({
    code: "SCHEMA_MISSING",
    message: `there is no schema net in database ${db.name}`,
    hint: expect.stringContaining("pgnetd migrate") as unknown,
  });
  await db.query("create schema net");
  const empty = {
    code: "SCHEMA_MISSING",
    message: `schema net in database ${db.name} has no tables of pgnetd`,
    hint: "Run pgnetd migrate against this database.",
  };
  expect(await problem(db)).toEqual(empty);
  await db.query(`set allow_system_table_mods = on;
    insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    select 99999, 'pg_net', 10, 'public'::regnamespace, false, '0.20.0'; reset allow_system_table_mods;
    alter extension pg_net add schema net`);
  expect(await problem(db)).toEqual({ ...empty, hint: expect.stringContaining("docs/from-pg_net.md") as unknown });
});

test("a role that may not use schema net gets an error that says so, and the statements in the hint are enough to run", async () => {
  await using db = await testDatabase();
  const role = `${db.name}_Daemon`;
  const quoted = `"${role}"`;
  await db.query(`create role ${quoted} login replication password 'x'`);
  const url = new URL(databaseUrl(db.url, db.name));
  url.username = role;
  url.password = "x";
  const pool = openTestPool({ connectionString: url.href });
  try {
    await db.query("revoke all on all tables in schema net from public; revoke usage on schema net from public");
    expect(await schemaProblem(pool)).toMatchObject({
      code: "PG_REFUSED",
      exitCode: 77,
      retry: true,
      message: `role ${role} may not use schema net in database ${db.name}`,
    });
    await db.query("grant usage on schema net to public");
    const refused = await schemaProblem(pool);
    expect(refused?.message).toBe(`role ${role} may not read net.pgnetd_migrations in database ${db.name}`);

    await db.query("revoke usage on schema net from public");
    await using daemon = await startDaemon({ databaseUrl: url.href, waitUntilReady: false });
    const detail = await eventually(async () => {
      const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly detail: string };
      return health.detail.includes("may not use schema net") && health.detail;
    });
    expect(detail).toContain(`grant usage on schema net to ${quoted};`);
    // In the log as well, and not as a version.
    expect(daemon.events()).toContainEqual(
      expect.objectContaining({ level: "warn", msg: `role ${role} may not use schema net in database ${db.name}` }),
    );

    await db.query(/or as that role: (.*)$/.exec(refused?.hint ?? "")?.[1] ?? "");
    await daemon.live();
    await db.query("insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'x', 1)");
    await eventually(async () => (await db.query("select from net._http_response")).length === 1);
  } finally {
    await pool.end();
    await db.query(`drop owned by ${quoted}; drop role ${quoted}`);
  }
});

test("an installation that may not be read is not taken for one without its row", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase();
  const pool = openTestPool({ connectionString: role.login(db.url) });
  try {
    await db.query(`grant select on net.pgnetd_migrations to "${role.name}"`);
    const refused: unknown = await readInstallation(pool, null).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: "PG_REFUSED",
      message: `role ${role.name} may not read net.pgnetd_installation`,
    });
    await db.query(/^As its owner: (.*)$/.exec((refused as PgnetdError).hint)?.[1] ?? "");
    expect(await readInstallation(pool, null)).toMatchObject({ environment: null });
    await db.query("delete from net.pgnetd_installation");
    const missing: unknown = await readInstallation(pool, null).catch((error: unknown) => error);
    expect(missing).toMatchObject({ message: "net.pgnetd_installation has no row" });
    await db.query(/: (insert into .*)$/.exec((missing as PgnetdError).hint)?.[1] ?? "");
    expect(await readInstallation(pool, null)).toMatchObject({ environment: null });
  } finally {
    await pool.end();
    await db.query(`drop owned by "${role.name}"`);
  }
});

test("a role that may not connect, and a database that takes no connections, are told as such", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  await db.query(`revoke connect on database ${db.name} from public`);
  await expect(connect(role.login(db.url), "test")).rejects.toMatchObject({
    code: "PG_REFUSED",
    hint: expect.stringContaining("grant connect on database") as unknown,
  });
  await db.query(`grant connect on database ${db.name} to public`);
  await using other = await testDatabase({ migrated: false });
  await other.query(`alter database ${db.name} allow_connections false`);
  await expect(connect(role.login(db.url), "test")).rejects.toMatchObject({
    code: "PG_REFUSED",
    hint: expect.stringContaining("allow_connections true") as unknown,
  });
});
