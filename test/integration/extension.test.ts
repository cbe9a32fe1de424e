import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { pgnetd, runCommandLine } from "../support/command.ts";
import { dumpAndRestore, dumpToolsAreThere } from "../support/dump-tools.ts";
import {
  type ExtensionDatabase,
  type ExtensionServer,
  installPgNet,
  startExtensionServer,
} from "../support/extension-server.ts";
import { wantedMajor } from "../support/postgres-versions.ts";

let server: ExtensionServer;
beforeAll(async () => {
  server = await startExtensionServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await removePgNet();
  await pgnetd("", "extension", server.folder);
});

async function removePgNet(): Promise<void> {
  for (const name of await readdir(server.folder)) {
    if (name.startsWith("pg_net")) await rm(join(server.folder, name));
  }
}

async function installed(db: ExtensionDatabase): Promise<unknown[]> {
  return db.query(
    "select extversion as version, extnamespace::regnamespace::text as schema from pg_extension where extname = 'pg_net'",
  );
}

async function call(db: ExtensionDatabase): Promise<void> {
  expect(await db.query("select net.http_post('https://example.com/') > 0 as sent")).toEqual([{ sent: true }]);
}

describe("the placeholder extension", () => {
  test("migrations, guards and look-ups that name the extension run as with pg_net", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    await db.query("create schema extensions");
    expect(
      await db.query(
        "select name, default_version, installed_version from pg_available_extensions where name = 'pg_net'",
      ),
    ).toEqual([{ name: "pg_net", default_version: "0.20.4", installed_version: null }]);
    for (const [statement, schema] of [
      ["create extension if not exists pg_net", "public"],
      ["create extension pg_net with schema extensions", "extensions"],
      ["create extension pg_net schema net", "net"],
      ["create extension if not exists pg_net with schema extensions cascade", "extensions"],
    ] as const) {
      await db.query(statement);
      expect(await installed(db)).toEqual([{ version: "0.20.4", schema }]);
      await db.query("create extension if not exists pg_net with schema extensions");
      await call(db);
      await db.query("drop extension if exists pg_net cascade");
      expect(await installed(db)).toEqual([]);
      await call(db);
    }
    expect(await db.query("select count(*)::int as kept from net.http_request_queue")).toEqual([{ kept: 8 }]);
  });

  test("versions that tools write into migrations are there, and are updated", async () => {
    await using db = await server.database();
    await db.query(
      `create schema extensions; create extension if not exists "pg_net" with schema "extensions" version '0.7.1'`,
    );
    await db.query("alter extension pg_net update to '0.19.5'");
    expect(await installed(db)).toEqual([{ version: "0.19.5", schema: "extensions" }]);
    await db.query("alter extension pg_net update; alter extension pg_net set schema public");
    expect(await installed(db)).toEqual([{ version: "0.20.4", schema: "public" }]);
    await expect(db.query("alter extension pg_net update to '0.21.0'")).rejects.toMatchObject({ code: "22023" });
  });

  test("any role that may create in the database may create it, and owns nothing by it", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    await db.query(`create role tenant login password 'x'; grant create on database ${db.name} to tenant`);
    const url = new URL(db.url);
    url.username = "tenant";
    url.password = "x";
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await client.query("create extension pg_net; drop extension pg_net; create extension pg_net");
    await client.end();
    expect(
      await db.query(`select count(*)::int as members from pg_depend
        where refclassid = 'pg_extension'::regclass and refobjid = (select oid from pg_extension where extname = 'pg_net')`),
    ).toEqual([{ members: 0 }]);
    await call(db);
  });

  test("created before the schema it warns, and migrate installs it all the same", async () => {
    await using db = await server.database();
    const client = await db.pool.connect();
    const warnings: string[] = [];
    client.on("notice", ({ severity, message }) => warnings.push(`${severity}: ${message}`));
    await expect(client.query("create extension pg_net schema net")).rejects.toMatchObject({ code: "3F000" });
    await client.query("create extension pg_net");
    client.release();
    expect(warnings).toEqual(["WARNING: this pg_net is a placeholder, and the functions are not here yet"]);
    expect(await pgnetd(db.url, "migrate")).toEqual([expect.stringMatching(/^schema installed/)]);
    await call(db);
  });

  test("goes with pgnetd, so that no guard takes it for pg_net afterwards", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    await db.query("create extension pg_net schema net");
    const lines = await pgnetd(db.url, "uninstall", "--yes");
    expect(lines).toContain("extension pg_net, the placeholder, is dropped");
    expect(lines).toContain("schema net is dropped");
    expect(await installed(db)).toEqual([]);
  });
});

describe("pgnetd extension", () => {
  test("writes files that every user may read, whatever the umask", async () => {
    await removePgNet();
    const umask = process.umask(0o077);
    try {
      await pgnetd("", "extension", server.folder);
    } finally {
      process.umask(umask);
    }
    const names = (await readdir(server.folder)).filter((name) => /pg_net/.test(name));
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) expect((await stat(join(server.folder, name))).mode & 0o777).toBe(0o644);
  });

  test("refuses a folder that has pg_net itself, and one that is none", async () => {
    await removePgNet();
    await installPgNet(server.folder);
    const { failure } = await runCommandLine("", "extension", server.folder);
    expect(failure).toMatchObject({ code: "NOT_DONE", message: expect.stringMatching(/has pg_net itself/) as unknown });
    const above = await runCommandLine("", "extension", join(server.folder, ".."));
    expect(above.failure).toMatchObject({ code: "USAGE", hint: `Did you mean ${server.folder}?` });
    const nowhere = await runCommandLine("", "extension", "/there/is/no/extension");
    expect(nowhere.failure).toMatchObject({ code: "NOT_DONE", message: expect.stringMatching(/ENOENT/) as unknown });
  });

  test("without a folder says which one it is, and what works without it", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    const text = (await pgnetd("", "extension")).join("\n");
    expect(text).toContain("pg_config --sharedir");
    const folder = /^(select setting .*') names/m.exec(text)?.[1] ?? "";
    expect(Object.values((await db.query(folder))[0] ?? {})).toEqual([server.folder]);
    const guard = /to_regprocedure.*not null/.exec(text)?.[0] ?? "";
    expect(await db.query(`select ${guard} as there`)).toEqual([{ there: true }]);
    await pgnetd(db.url, "uninstall", "--yes", "--force");
    expect(await db.query(`select ${guard} as there`)).toEqual([{ there: false }]);
  });

  test.runIf(wantedMajor() >= 18)(
    "takes a folder beside the server's own, where the server has extension_control_path",
    async () => {
      await removePgNet();
      const folder = join(server.folder, "../../beside");
      await using db = await server.database();
      const { failure } = await runCommandLine("", "extension", join(folder, "extension"));
      expect(failure).toMatchObject({ code: "NOT_DONE" });
      await pgnetd("", "extension", join(server.folder, "extension"));
      await db.query(`set extension_control_path = '$system:${server.folder}'; create extension pg_net`);
      expect(await installed(db)).toEqual([{ version: "0.20.4", schema: "public" }]);
      await rm(join(server.folder, "extension"), { recursive: true });
    },
  );

  test("prints SQL that hands the same extension to pg_tle", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    await db.query(PG_TLE);
    const [sql = ""] = await pgnetd("", "extension", "--pg-tle");
    const at = sql.lastIndexOf("create extension");
    await db.query(sql.slice(0, at));
    // What pg_tle does with what it was given: the files of an extension, kept in the database.
    await removePgNet();
    const files = await db.query<{ name: string; text: string }>("select name, text from pgtle.files");
    for (const { name, text } of files) await writeFile(join(server.folder, name), text);
    await db.query(sql.slice(at));
    await call(db);
    await db.query("drop extension pg_net; create extension pg_net version '0.14.0'; alter extension pg_net update");
    expect(await installed(db)).toEqual([{ version: "0.20.4", schema: "public" }]);
  });
});

/** The functions of pg_tle that are called, with its signatures; the control file is what it makes of their arguments. */
const PG_TLE = `
  create schema pgtle;
  create table pgtle.files (name text primary key, text text not null);
  create function pgtle.install_extension(name text, version text, description text, ext text, requires text[] default null)
  returns boolean language sql as $$
    insert into pgtle.files values (name || '--' || version || '.sql', ext), (name || '.control', format(
      E'default_version = %L\\ncomment = %L\\nrelocatable = false\\nsuperuser = false\\n', version, description));
    select true
  $$;
  create function pgtle.install_update_path(name text, fromvers text, tovers text, ext text)
  returns boolean language sql as $$
    insert into pgtle.files values (name || '--' || fromvers || '--' || tovers || '.sql', ext); select true
  $$;
  create function pgtle.set_default_version(name text, version text) returns boolean language sql as $$
    update pgtle.files set text = regexp_replace(text, 'default_version = ''[^'']*''', format('default_version = %L', version))
    where files.name = set_default_version.name || '.control';
    select true
  $$`;

describe.skipIf(!(await dumpToolsAreThere()))("a dump", () => {
  const APP = `
    create view failed as select id, error_msg from net._http_response where error_msg is not null;
    create function noted() returns trigger language plpgsql as 'begin return new; end';
    create trigger note after insert on net._http_response for each row execute function noted();
    revoke insert on net._http_response from public`;
  const restored = `select (select count(*)::int from failed) as failed,
    (select count(*)::int from pg_trigger where tgname = 'note') as triggers,
    (select count(*)::int from net.http_request_queue) as waiting,
    has_table_privilege('pg_monitor', 'net._http_response', 'insert') as may,
    exists (select from pg_extension where extname = 'pg_net') as extension`;

  test("of a database with pgnetd and the placeholder is restored whole", async () => {
    await using from = await server.database();
    await using to = await server.database();
    await pgnetd(from.url, "migrate");
    await from.query(`create extension pg_net; ${APP}; insert into net._http_response (id, error_msg) values (1, 'x')`);
    await call(from);
    await dumpAndRestore(from.url, to.url, join(server.folder, "../dump"));
    expect(await to.query(restored)).toEqual([{ failed: 1, triggers: 1, waiting: 1, may: false, extension: true }]);
    await call(to);
    expect(await pgnetd(to.url, "migrate")).toEqual([expect.stringMatching(/nothing to do$/)]);
  });

  test("of a database with pg_net itself is restored after migrate, with views over its tables and rights on them", async () => {
    await removePgNet();
    await installPgNet(server.folder);
    await using from = await server.database();
    await using to = await server.database();
    await from.query(`create extension pg_net; ${APP}; insert into net._http_response (id, error_msg) values (1, 'x')`);
    await pgnetd(to.url, "migrate");
    await removePgNet();
    await pgnetd("", "extension", server.folder);
    await dumpAndRestore(from.url, to.url, join(server.folder, "../dump"));
    // The rows of an extension's tables, and triggers on them, are in no dump.
    expect(await to.query(restored)).toEqual([{ failed: 0, triggers: 0, waiting: 0, may: false, extension: true }]);
    await call(to);
  });
});

describe("migrate beside an extension", () => {
  test("refuses where pg_net itself owns schema net, and says how to go on", async () => {
    await removePgNet();
    await installPgNet(server.folder);
    await using db = await server.database();
    await db.query("create extension pg_net");
    const { failure } = await runCommandLine(db.url, "migrate");
    expect(failure).toMatchObject({ code: "MIGRATION_FAILED", message: "schema net belongs to the extension pg_net" });
    expect(await db.query("select to_regclass('net.pgnetd_migrations') as there")).toEqual([{ there: null }]);
    await db.query("drop extension pg_net");
    await pgnetd(db.url, "migrate");
    await call(db);
  });

  test("refuses where another extension owns something in schema net, and names it", async () => {
    await writeFile(join(server.folder, "other.control"), "default_version = '1'\nrelocatable = false\n");
    await writeFile(join(server.folder, "other--1.sql"), "create table net.other ();");
    await using db = await server.database();
    await db.query("create schema net; create extension other");
    const { failure } = await runCommandLine(db.url, "migrate");
    expect(failure).toMatchObject({ message: "schema net belongs to the extension other" });
  });
});
