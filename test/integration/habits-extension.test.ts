import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { pgnetd, runCommandLine } from "../support/command.ts";
import { dumpSql, dumpToolsAreThere, runSqlFile } from "../support/dump-tools.ts";
import {
  type ExtensionDatabase,
  type ExtensionServer,
  installPgNet,
  startExtensionServer,
} from "../support/extension-server.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

let server: ExtensionServer;
let dump: string;
beforeAll(async () => {
  server = await startExtensionServer();
  dump = join(server.folder, "../dump.sql");
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await removePgNet();
});

async function removePgNet(): Promise<void> {
  for (const name of await readdir(server.folder)) {
    if (name.startsWith("pg_net")) await rm(join(server.folder, name));
  }
}

async function queued(db: ExtensionDatabase): Promise<readonly string[]> {
  return (await db.query<{ url: string }>("select url from net.http_request_queue order by id")).map(({ url }) => url);
}

/** Guards of migrations that are run in databases with and without pg_net; each sends to a path of its own where it finds it. */
const GUARDS = `
  create schema if not exists extensions;
  do $$ begin
    create extension if not exists pg_net with schema extensions;
  exception when others then
    raise notice 'pg_net is not available: %', sqlerrm;
  end $$;
  do $$ begin
    if exists (select from pg_available_extensions where name = 'pg_net') then
      create extension if not exists pg_net;
      perform net.http_get('http://h/available');
    end if;
    if exists (select 1 from pg_extension where extname = 'pg_net') then
      perform net.http_get('http://h/installed');
    end if;
    if exists (select 1 from pg_namespace where nspname = 'net') then
      perform net.http_get('http://h/schema');
    end if;
    if to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') is not null then
      perform net.http_get('http://h/function');
    end if;
  end $$`;

describe("guards in a migration", () => {
  test("all find pg_net where the placeholder is", async () => {
    await pgnetd("", "extension", server.folder);
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    for (const _run of ["first", "again"]) await db.query(GUARDS);
    const once = ["http://h/available", "http://h/installed", "http://h/schema", "http://h/function"];
    expect(await queued(db)).toEqual([...once, ...once]);
  });

  test("that look for the extension skip their calls without an error where it is not; those that look for the functions do not", async () => {
    await using db = await server.database();
    await pgnetd(db.url, "migrate");
    await db.query(GUARDS);
    expect(await queued(db)).toEqual(["http://h/schema", "http://h/function"]);
    // "could not open extension control file" in PostgreSQL 14, "extension is not available" since 15.
    await expect(db.query("create extension if not exists pg_net")).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:58P01|0A000)$/) as unknown,
    });
  });
});

/** An application's database as people dump it: a trigger that posts, a view and a policy on the answers, rights. */
async function createApplication(db: ExtensionDatabase, receiver: Receiver): Promise<void> {
  await db.query(`
    create schema extensions;
    create extension if not exists pg_net with schema extensions;
    create table public.orders (id int primary key);
    create function public.notify() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      perform net.http_post('${receiver.url("/orders")}', pg_catalog.to_jsonb(new));
      return new;
    end $$;
    create trigger notify after insert on public.orders for each row execute function public.notify();
    create function public.failed() returns setof bigint language sql as $$
      select id from net._http_response where status_code >= 400 or error_msg is not null
    $$`);
}

describe.runIf(await dumpToolsAreThere())("a dump as SQL", () => {
  test("of a database with pg_net is restored into one that pgnetd migrated first", async () => {
    await using receiver = await startReceiver();
    await installPgNet(server.folder);
    {
      await using from = await server.database();
      await createApplication(from, receiver);
      await from.query("grant usage on schema net to public; grant execute on function net.wake() to public");
      await dumpSql(from.url, dump, "--no-owner");
    }
    await removePgNet();
    await pgnetd("", "extension", server.folder);
    await using to = await server.database();
    await pgnetd(to.url, "migrate");
    await runSqlFile(to.url, dump);
    await using _daemon = await startInProcess(to.url);
    await to.query("insert into public.orders values (1)");
    await receiver.waitFor(1);
    expect(await to.query("select * from public.failed()")).toEqual([]);
  });

  test.for([
    { name: "into an empty database", options: [], prepared: false },
    { name: "with --clean, over what is there", options: ["--clean", "--if-exists"], prepared: true },
  ])("of a database with pgnetd is restored $name, and what waits is sent by who adopts it", async (way) => {
    await using receiver = await startReceiver();
    await pgnetd("", "extension", server.folder);
    await using from = await server.database();
    await pgnetd(from.url, "migrate");
    await createApplication(from, receiver);
    {
      await using _daemon = await startInProcess(from.url);
      await from.query("insert into public.orders values (1)");
      await receiver.waitFor(1);
    }
    await from.query("insert into public.orders values (2)");
    await dumpSql(from.url, dump, ...way.options);
    await using to = await server.database();
    if (way.prepared) {
      await pgnetd(to.url, "migrate");
      await createApplication(to, receiver);
    }
    await runSqlFile(to.url, dump);
    const { failure } = await runCommandLine(to.url, "status");
    expect(failure).toMatchObject({ message: expect.stringMatching(/is a copy/) as unknown });
    await pgnetd(to.url, "adopt", "--keep");
    await using _daemon = await startInProcess(to.url);
    await to.query("insert into public.orders values (3)");
    await receiver.waitFor(3);
    expect(receiver.requests.map(({ body }) => JSON.parse(body.toString()) as unknown)).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
  });

  test("of the application's schema alone is restored beside pgnetd", async () => {
    await using receiver = await startReceiver();
    await pgnetd("", "extension", server.folder);
    await using from = await server.database();
    await pgnetd(from.url, "migrate");
    await createApplication(from, receiver);
    await dumpSql(from.url, dump, "--schema=public", "--clean", "--if-exists");
    await using to = await server.database();
    await pgnetd(to.url, "migrate");
    await runSqlFile(to.url, dump);
    await to.query("insert into public.orders values (1)");
    expect(await queued(to)).toEqual([receiver.url("/orders")]);
  });
});
