import { readdir } from "node:fs/promises";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { migrate, schemaVersion } from "../../src/pg/migrate.ts";
import { LATEST_VERSION, MIGRATIONS } from "../../src/pg/migrations.ts";
import { eventually } from "../support/eventually.ts";
import { databaseUrl, testDatabase } from "../support/postgres.ts";

const EMPTY = { migrated: false };

describe("migrate", () => {
  test("knows every numbered file of sql/, in order and without a gap", async () => {
    const files = await readdir(new URL("../../sql/", import.meta.url));
    expect(files.filter((file) => /^\d/.test(file)).toSorted()).toEqual([...MIGRATIONS]);
    expect(MIGRATIONS.map((file) => Number(file.slice(0, 4)))).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });

  test("installs everything in a fresh database, and nothing when repeated", async () => {
    await using db = await testDatabase(EMPTY);
    expect(await schemaVersion(db.pool)).toBe(0);
    expect(await migrate(db.url)).toMatchObject({ from: 0, to: LATEST_VERSION });
    expect(await schemaVersion(db.pool)).toBe(LATEST_VERSION);
    const before = await db.query("select * from net.pgnetd_migrations order by version");
    expect(before.map((row) => row["name"])).toEqual([...MIGRATIONS]);

    expect(await migrate(db.url)).toMatchObject({ from: LATEST_VERSION, to: LATEST_VERSION });
    expect(await db.query("select * from net.pgnetd_migrations order by version")).toEqual(before);
  });

  test("goes on from every version there has been", async () => {
    for (let version = 1; version < LATEST_VERSION; version += 1) {
      await using db = await testDatabase(EMPTY);
      expect(await migrate(db.url, { to: version })).toMatchObject({ from: 0, to: version });
      expect(await schemaVersion(db.pool)).toBe(version);
      expect(await migrate(db.url)).toMatchObject({ from: version, to: LATEST_VERSION });
      expect(await migrate(db.url, { to: version })).toMatchObject({ from: LATEST_VERSION, to: LATEST_VERSION });
    }
  });

  test("P9: leaves functions that others made security definer, or gave settings, as they are", async () => {
    await using db = await testDatabase(EMPTY);
    await migrate(db.url, { to: 12 });
    const call = "net.http_post(text, jsonb, jsonb, jsonb, integer)";
    await db.query(`alter function ${call} security definer;
      alter function ${call} set search_path = pg_catalog, "Own, schema", pg_temp;
      alter function ${call} set statement_timeout = '3s'; alter function ${call} set app.tenant = 'a, ''b'''`);
    const attributes = (): Promise<unknown> =>
      db.query("select prosecdef, proconfig from pg_proc where oid = $1::regprocedure", [call]);
    const before = await attributes();
    await migrate(db.url);
    expect(await attributes()).toEqual(before);
    expect(await db.query("select prosecdef from pg_proc where proname = 'http_get'")).toEqual([{ prosecdef: false }]);
  });

  test("runs once when started twenty times at once", async () => {
    await using db = await testDatabase(EMPTY);
    const results = await Promise.all(Array.from({ length: 20 }, () => migrate(db.url)));
    expect(results.every(({ to }) => to === LATEST_VERSION)).toBe(true);
    expect(await db.query("select version::int from net.pgnetd_migrations order by 1")).toEqual(
      MIGRATIONS.map((_, index) => ({ version: index + 1 })),
    );
  });

  test("refuses a database of a newer pgnetd and changes nothing", async () => {
    await using db = await testDatabase();
    await db.query("insert into net.pgnetd_migrations (version, name) values ($1, 'from the future')", [
      LATEST_VERSION + 1,
    ]);
    await expect(migrate(db.url)).rejects.toMatchObject({
      code: "SCHEMA_NEWER",
      message: `the schema is at version ${LATEST_VERSION + 1}, this pgnetd knows ${LATEST_VERSION}`,
    });
  });

  test("names the file and the cause of a failure, and leaves that file undone", async () => {
    await using db = await testDatabase(EMPTY);
    await migrate(db.url, { to: 1 });
    await db.query("create function net._is_plain_url(text) returns int language sql as 'select 1'");
    const failure = migrate(db.url);
    await expect(failure).rejects.toMatchObject({ code: "MIGRATION_FAILED", cause: { code: "42723" } });
    await expect(failure).rejects.toMatchObject({ hint: expect.stringMatching(/^Nothing was changed\. /) as unknown });
    await expect(failure).rejects.toThrow(/^0002_urls\.sql: .*_is_plain_url/);
    expect(await schemaVersion(db.pool)).toBe(1);
    expect(await db.query("select to_regprocedure('net._urlencode_string(varchar)') as f")).toEqual([{ f: null }]);
    await db.query("drop function net._is_plain_url(text)");
    expect(await migrate(db.url)).toMatchObject({ from: 1, to: LATEST_VERSION });
  });

  test.each([
    [1, "There is schema net, with its table of versions alone. "],
    [3, "The schema is at version 2 now: an older pgnetd does not start on it. "],
  ])("says what is there where migration %d of a new installation fails", async (version, there) => {
    await using db = await testDatabase(EMPTY);
    await db.query(`create function public.stop() returns event_trigger language plpgsql as $$ begin
      if to_regclass('net.pgnetd_migrations') is not null then
        if exists (select from net.pgnetd_migrations where version = ${version}) then raise 'enough'; end if;
      end if; end $$;
      create event trigger stop on ddl_command_start execute function public.stop()`);
    await expect(migrate(db.url)).rejects.toMatchObject({
      code: "MIGRATION_FAILED",
      hint: `${there}Mend the cause in the message and run pgnetd migrate again.`,
    });
    expect(await schemaVersion(db.pool)).toBe(version - 1);
  });

  test("runs over a given connection and leaves it usable", async () => {
    await using db = await testDatabase(EMPTY);
    const client = new pg.Client({ connectionString: db.url });
    await client.connect();
    try {
      await client.query("set default_transaction_isolation = 'serializable'; set search_path = public");
      expect(await migrate(client)).toMatchObject({ from: 0, to: LATEST_VERSION });
      expect((await client.query("show search_path")).rows).toEqual([{ search_path: "public" }]);
    } finally {
      await client.end();
    }
  });
});

describe("migrate as an ordinary role", () => {
  test("needs CREATE on the database and nothing else", async () => {
    await using db = await testDatabase(EMPTY);
    const role = `${db.name}_installer`;
    await db.query(`create role ${role} login password 'x'`);
    const url = new URL(databaseUrl(db.url, db.name));
    url.username = role;
    url.password = "x";
    try {
      await expect(migrate(url.href)).rejects.toMatchObject({ code: "MIGRATION_FAILED", cause: { code: "42501" } });
      await db.query(`grant create on database ${db.name} to ${role}`);
      expect(await migrate(url.href)).toMatchObject({ from: 0, to: LATEST_VERSION });
      await db.query(`revoke create on database ${db.name} from ${role}`);
      expect(await migrate(url.href)).toMatchObject({ from: LATEST_VERSION, to: LATEST_VERSION });

      await db.query(`set role ${role}; select net.http_get('https://example.com/'); reset role`);
      const owners = await db.query(
        `select distinct rolname from pg_class join pg_roles on pg_roles.oid = relowner
        where relnamespace = 'net'::regnamespace`,
      );
      expect(owners).toEqual([{ rolname: role }]);
    } finally {
      await db.query(`drop owned by ${role} cascade; drop role ${role}`);
    }
  });

  test("leaves functions of other roles in schema net as they are, whatever is in them", async () => {
    await using db = await testDatabase(EMPTY);
    const [role, other] = [`${db.name}_installer`, `${db.name}_other`];
    await db.query(`create role ${role} login password 'x'; create role ${other};
      grant create on database ${db.name} to ${role}`);
    const url = new URL(databaseUrl(db.url, db.name));
    url.username = role;
    url.password = "x";
    try {
      await migrate(url.href, { to: 6 });
      await db.query(`grant create on schema net to ${other}; set role ${other};
        create function net.of_others(body jsonb) returns text language sql as 'select body::text'; reset role`);
      expect(await migrate(url.href)).toMatchObject({ from: 6, to: LATEST_VERSION });
      expect(await db.query("select prosrc from pg_proc where proname = 'of_others'")).toEqual([
        { prosrc: "select body::text" },
      ]);
    } finally {
      await db.query(`drop owned by ${role}, ${other} cascade; drop role ${role}, ${other}`);
    }
  });

  test("a role that holds the lock for migrations does not keep one waiting for ever, and is named", async () => {
    await using db = await testDatabase(EMPTY);
    const stranger = await db.pool.connect();
    try {
      await stranger.query("select pg_advisory_lock(1885826669, 0)");
      await expect(migrate(db.url, { lockWaitMs: 200 })).rejects.toMatchObject({
        code: "PG_UNREACHABLE",
        retry: true,
        message: expect.stringMatching(/^process \d+ \(.*role \S+\) holds the lock for migrations$/) as unknown,
        hint: expect.stringMatching(
          /select pg_terminate_backend\(\d+\); -- as role \S+ or a member of pg_signal_backend or a superuser$/,
        ) as unknown,
      });
    } finally {
      stranger.release(true);
    }
    expect(await migrate(db.url)).toMatchObject({ from: 0, to: LATEST_VERSION });
  });

  test("a database that is read-only is said to be so", async () => {
    await using db = await testDatabase(EMPTY);
    await db.query(`alter database ${db.name} set default_transaction_read_only = on`);
    await expect(migrate(db.url)).rejects.toMatchObject({
      code: "PG_UNREACHABLE",
      hint: expect.stringContaining("lift default_transaction_read_only") as unknown,
    });
  });

  test("a connection that ends in the middle may be tried again, and nothing is left of it", async () => {
    await using db = await testDatabase(EMPTY);
    const lock = await db.pool.connect();
    try {
      await lock.query("select pg_advisory_lock(1885826669, 0)");
      const migrated = migrate(db.url).catch((error: unknown) => error);
      await eventually(async () => {
        const ended = await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and application_name = 'pgnetd (pg_net) migrate' and xact_start is not null`,
        );
        return ended.length === 1;
      });
      expect(await migrated).toMatchObject({ code: "PG_UNREACHABLE", retry: true });
    } finally {
      lock.release(true);
    }
    expect(await migrate(db.url)).toMatchObject({ from: 0, to: LATEST_VERSION });
  });
});
