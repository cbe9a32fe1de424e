import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { dumpSchema } from "../../src/pg/schema-dump.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

/** What `pg_dump --schema-only` and a restore leave of a database. */
async function withoutData(version = LATEST_VERSION): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: version });
  await db.query("truncate net.pgnetd_migrations, net.pgnetd_installation, net.pgnetd_parts");
  return db;
}

test("migrate records version, installation and environment of a schema that was restored without its data", async () => {
  await using db = await withoutData();
  const before = await dumpSchema(db.pool, ["net"]);
  const done = await migrate(db.url, { environment: { name: "staging", claim: true } });
  expect(done).toEqual({
    from: LATEST_VERSION,
    to: LATEST_VERSION,
    notes: [
      expect.stringMatching(/^the schema was restored without its data/),
      "this database is recorded for the environment staging",
    ],
  });
  expect(await dumpSchema(db.pool, ["net"])).toBe(before);
  expect(await migrate(db.url)).toMatchObject({ from: LATEST_VERSION, notes: [] });

  await using receiver = await startReceiver();
  await using _daemon = await startDaemon({ databaseUrl: db.url, env: { PGNETD_ENVIRONMENT: "staging" } });
  await db.query("select net.http_post($1)", [receiver.url("/")]);
  await receiver.waitFor(1);
});

test("migrate keeps the installation that a dump has where it has no versions", async () => {
  await using db = await testDatabase();
  const [before] = await db.query("select id from net.pgnetd_installation");
  await db.query("truncate net.pgnetd_migrations");
  await migrate(db.url);
  expect(await db.query("select id from net.pgnetd_installation")).toEqual([before]);
});

test("migrate sends no requests of a dump that does not say of which database they are", async () => {
  await using db = await withoutData();
  await db.query("select net.http_get('http://127.0.0.1:1/')");
  const failure = {
    code: "MIGRATION_FAILED",
    hint: expect.stringMatching(/delete from net\.http_request_queue/) as unknown,
  };
  await expect(migrate(db.url)).rejects.toMatchObject(failure);
  await db.query("delete from net.http_request_queue");
  expect(await migrate(db.url)).toMatchObject({ to: LATEST_VERSION });
});

test("migrate says what to do where an older schema was restored without its data, and changes nothing", async () => {
  await using db = await withoutData(LATEST_VERSION - 1);
  const before = await dumpSchema(db.pool, ["net"]);
  await expect(migrate(db.url)).rejects.toMatchObject({
    code: "MIGRATION_FAILED",
    message: expect.stringMatching(/does not say of which version/) as unknown,
    hint: expect.stringMatching(/Restore the rows of net\.pgnetd_migrations/) as unknown,
  });
  expect(await dumpSchema(db.pool, ["net"])).toBe(before);
  expect(await db.query("select from net.pgnetd_migrations")).toEqual([]);
});

/** What every role may do with what is in schema `net`. */
const RIGHTS = `
select 'schema' as what, has_schema_privilege('public', 'net', 'usage')::text as may
union all select oid::regprocedure::text, has_function_privilege('public', oid, 'execute')::text
from pg_proc where pronamespace = 'net'::regnamespace
union all select oid::regclass::text, array(
  select p from unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) as p
  where has_table_privilege('public', oid, p))::text
from pg_class where relnamespace = 'net'::regnamespace and relkind = 'r'
union all select attrelid::regclass || '.' || attname, has_column_privilege('public', attrelid, attname, 'select')::text
from pg_attribute where attrelid = 'net.http_dead_letter'::regclass and attnum > 0
union all select oid::regclass::text, (has_sequence_privilege('public', oid, 'usage') and has_sequence_privilege('public', oid, 'select'))::text
from pg_class where relnamespace = 'net'::regnamespace and relkind = 'S' order by 1`;

test("migrate --grants open gives back what a restore without rights has left out, and no more", async () => {
  await using db = await testDatabase();
  const before = await db.query(RIGHTS);
  await db.query(`revoke all on schema net from public; revoke all on all tables in schema net from public;
    revoke all on all sequences in schema net from public`);
  await db.query("alter function net.http_get security definer");
  expect(await db.query(RIGHTS)).not.toEqual(before);
  await migrate(db.url, { grants: { kind: "open" } });
  expect(await db.query(RIGHTS)).toEqual(before);
  // What was never restricted, its owner may have changed.
  expect(await db.query("select prosecdef from pg_proc where oid = 'net.http_get'::regproc")).toEqual([
    { prosecdef: true },
  ]);
});
