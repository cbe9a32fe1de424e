import pg from "pg";
import { expect, test } from "vitest";
import { readConfig } from "../../src/config/load.ts";
import { withPgNetSettings } from "../../src/config/pg-net.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { openPool } from "../../src/pg/pool.ts";
import { type PgNetSettings, readPgNetSettings } from "../../src/pg/pg-net-settings.ts";
import { pgnetd } from "../support/command.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

async function readAnew(db: TestDatabase): Promise<PgNetSettings> {
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
  return await readPgNetSettings(pool);
}

test("pg_net's settings are read as the database has them", async () => {
  await using db = await testDatabase();
  expect(await readAnew(db)).toEqual({ ttlSeconds: null, batchSize: null });
  await db.query(`alter database ${db.name} set pg_net.ttl = '1 day'`);
  await db.query(`alter database ${db.name} set pg_net.batch_size = 500`);
  expect(await readAnew(db)).toEqual({ ttlSeconds: 86_400, batchSize: 500 });
});

test.each([
  ["pg_net.ttl", "soon"],
  ["pg_net.ttl", "0 hours"],
  ["pg_net.ttl", "infinity"],
  ["pg_net.batch_size", "many"],
  ["pg_net.batch_size", "0"],
  ["pg_net.batch_size", "99999999999"],
])("%s = '%s' is a wrong configuration, no defect", async (name, value) => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set ${name} = '${value}'`);
  await expect(readAnew(db)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining(name) as string,
  });
});

const SHOWN = `select current_setting('pg_net.ttl') as ttl, current_setting('pg_net.batch_size') as batch_size,
  current_setting('pg_net.database_name') as database, current_setting('pg_net.username') as username`;

/** What a new session of the database's users sees. */
async function shown(db: TestDatabase): Promise<unknown> {
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(SHOWN)).rows[0];
  } finally {
    await client.end();
  }
}

test("after migrate pg_net's settings can be shown, and the daemon's own are what they were", async () => {
  await using db = await testDatabase({ migrated: false });
  await expect(shown(db)).rejects.toMatchObject({ code: "42704" });
  expect((await migrate(db.url)).notes).toEqual([]);
  expect(await shown(db)).toEqual({ ttl: "6 hours", batch_size: "200", database: db.name, username: "" });

  const fromDatabase = await readAnew(db);
  const required = { DATABASE_URL: db.url };
  const loaded = readConfig({ env: required });
  expect(withPgNetSettings(loaded, fromDatabase)).toEqual(loaded.config);
  const own = readConfig({ env: { ...required, PGNETD_TTL: "1 hour", PGNETD_RATE_PER_SECOND: "7" } });
  expect(withPgNetSettings(own, fromDatabase)).toEqual(own.config);
});

test("migrate leaves values alone that somebody gave, and uninstall takes back its own only", async () => {
  await using db = await testDatabase({ migrated: false });
  await db.query(`alter database ${db.name} set pg_net.ttl = '1 day'`);
  await migrate(db.url);
  await db.query(`alter database ${db.name} set pg_net.batch_size = 500`);
  expect(await migrate(db.url)).toMatchObject({ notes: [] });
  expect(await shown(db)).toMatchObject({ ttl: "1 day", batch_size: "500" });
  await pgnetd(db.url, "uninstall", "--yes");
  const left = await db.query(
    "select unnest(setconfig) as kept from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = $1)",
    [db.name],
  );
  expect(left).toEqual([{ kept: "pg_net.ttl=1 day" }, { kept: "pg_net.batch_size=500" }]);
});

test("a role that may not set them is shown what a superuser can run, and migrates all the same", async () => {
  await using db = await testDatabase({ migrated: false });
  const role = `${db.name}_installer`;
  await db.query(`create role ${role} login password 'x'; grant create on database ${db.name} to ${role}`);
  const url = new URL(db.url);
  url.username = role;
  url.password = "x";
  try {
    const lines = await pgnetd(url.href, "migrate");
    expect(lines[0]).toMatch(/^schema installed/);
    expect(lines[1]).toContain("show pg_net.ttl, pg_net.batch_size, pg_net.database_name, pg_net.username fails here");
    await db.query(/a superuser may: (.*)$/.exec(lines[1] ?? "")?.[1] ?? "");
    expect(await shown(db)).toMatchObject({ ttl: "6 hours", database: db.name });
    expect(await pgnetd(url.href, "migrate")).toHaveLength(1);
  } finally {
    await db.query(`drop owned by ${role} cascade; drop role ${role}`);
  }
});

test("who looks for pg_net's worker by name finds the daemon's sessions", async () => {
  await using db = await testDatabase();
  await using _daemon = await startInProcess(db.url);
  const found = await db.query<{ name: string }>(
    "select distinct application_name as name from pg_stat_activity where application_name ilike '%pg_net%' and datname = current_database()",
  );
  expect(found.map(({ name }) => name).toSorted()).toEqual(["pgnetd (pg_net)", "pgnetd (pg_net) leader"]);
});
