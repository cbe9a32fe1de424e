import pg from "pg";
import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { dumpSchema } from "../../src/pg/schema-dump.ts";

async function uninstall(url: string, ...flags: string[]): Promise<{ lines: string[]; failure: unknown }> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  const context = { env: { DATABASE_URL: url }, print, stop: new AbortController().signal };
  const failure = await runProgram(["uninstall", ...flags], context).then(
    () => null,
    (error: unknown) => error,
  );
  return { lines, failure };
}

/** The slot, the publications and the schemas that are there. */
async function there(db: TestDatabase): Promise<unknown> {
  const [row] = await db.query(`select
    (select count(*)::int from pg_replication_slots where database = current_database()) as slots,
    (select count(*)::int from pg_publication) as publications,
    to_regnamespace('net') is not null as net, to_regnamespace('supabase_functions') is not null as webhooks`);
  return row;
}

/** As a daemon leaves it that was stopped. */
async function leaveSlot({ url }: Pick<TestDatabase, "url">): Promise<void> {
  await using daemon = await startInProcess(url);
  await daemon.stop();
}

const NOTHING = { slots: 0, publications: 0, net: false, webhooks: false };
const ALL = { slots: 1, publications: 2, net: true, webhooks: true };

test("uninstall leaves nothing behind, and migrate works again", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  const before = await dumpSchema(db.pool, ["net", "supabase_functions"]);
  await leaveSlot(db);
  await db.query("insert into net._http_response (id) values (1)");
  expect(await there(db)).toEqual(ALL);
  const { lines, failure } = await uninstall(db.url, "--yes");
  expect(failure).toBeNull();
  expect(lines).toEqual([
    expect.stringMatching(/^replication slot pgnetd_\w+ is dropped$/),
    "publication pgnetd_outbox is dropped",
    "publication pgnetd_settings is dropped",
    "the tables, functions and types of pgnetd are dropped, with 0 requests, 0 dead letters and 1 answers",
    "schema net is dropped",
    "schema supabase_functions is dropped",
  ]);
  expect(await there(db)).toEqual(NOTHING);
  await migrate(db.url, { webhooks: true });
  expect(await dumpSchema(db.pool, ["net", "supabase_functions"])).toBe(before);
});

test("a slot of another database is left alone, and so is everything here", async () => {
  await using db = await testDatabase();
  await using other = await testDatabase();
  await leaveSlot(other);
  const slot = `pgnetd_${other.name}`;
  const context = { env: { DATABASE_URL: db.url, PGNETD_SLOT_NAME: slot }, print: () => undefined };
  await expect(
    runProgram(["uninstall", "--yes", "--force"], { ...context, stop: new AbortController().signal }),
  ).rejects.toMatchObject({ code: "NOT_DONE", message: `replication slot "${slot}" is not one of this database` });
  expect(await there(other)).toMatchObject({ slots: 1 });
  expect(await there(db)).toMatchObject({ publications: 2, net: true });
});

test("slots that a daemon may have had under another name are named, with what drops them", async () => {
  await using db = await testDatabase();
  const [renamed, own] = [`pgnetd_before_${db.name}`, `own_${db.name}`];
  const create = "select pg_create_logical_replication_slot($1, 'pgoutput')";
  for (const slot of [renamed, own]) await db.query(create, [slot]);
  const { lines, failure } = await uninstall(db.url, "--yes");
  expect(failure).toBeNull();
  expect(lines[0]).toBe("there was no replication slot");
  expect(lines.slice(-3)).toEqual([
    expect.stringMatching(/^WARNING: nobody reads these slots of this database/),
    `  select pg_drop_replication_slot('${own}');`,
    `  select pg_drop_replication_slot('${renamed}');`,
  ]);
  // Where the daemon's was found, those with other names are of others.
  await migrate(db.url);
  await leaveSlot(db);
  const [json = ""] = (await uninstall(db.url, "--yes", "--json")).lines;
  expect(JSON.parse(json)).toMatchObject({ slot: `pgnetd_${db.name}`, slotsLeft: [renamed] });
});

test("a schema that was restored without its data, or whose first migration failed, goes, too", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('https://example.com'); delete from net.pgnetd_migrations");
  expect((await uninstall(db.url, "--yes")).failure).toMatchObject({
    code: "NOT_DONE",
    message: "1 requests wait and there are 0 dead letters: they would be lost",
  });
  expect((await uninstall(db.url, "--yes", "--force")).failure).toBeNull();
  expect(await there(db)).toEqual(NOTHING);
  await db.query(`create function public.stop() returns event_trigger language plpgsql as $$ begin
    if to_regclass('net.pgnetd_migrations') is not null then
      if exists (select from net.pgnetd_migrations) then raise 'enough'; end if;
    end if; end $$;
    create event trigger stop on ddl_command_start execute function public.stop()`);
  await expect(migrate(db.url)).rejects.toMatchObject({ code: "MIGRATION_FAILED" });
  await db.query("drop event trigger stop");
  expect(await there(db)).toMatchObject({ net: true });
  const { lines, failure } = await uninstall(db.url, "--yes");
  expect(failure).toBeNull();
  expect(lines).toContain("schema net is dropped");
  expect(await there(db)).toEqual(NOTHING);
});

test("after restricted grants, too", async () => {
  await using db = await testDatabase();
  const role = `caller_${db.name}`;
  await db.query(`create role ${role}`);
  try {
    await migrate(db.url, { grants: { kind: "restricted", callers: role } });
    expect((await uninstall(db.url, "--yes")).failure).toBeNull();
    expect(await there(db)).toEqual(NOTHING);
  } finally {
    await db.query(`drop role ${role}`);
  }
});

test("what others made in the schemas stays, and is named", async () => {
  await using db = await testDatabase();
  await db.query("create schema supabase_functions");
  await db.query("create table supabase_functions.hooks (id int)");
  await db.query("create table net.mine (id int)");
  await db.query("create function net.http_get(url text) returns int language sql as 'select 1'");
  await db.query(
    "create function call_it() returns bigint language plpgsql as $$ begin return net.http_get('x'); end $$",
  );
  const { lines, failure } = await uninstall(db.url, "--yes");
  expect(failure).toBeNull();
  expect(lines).toContain("schema net stays: it has function net.http_get(text), table net.mine");
  expect(lines.at(-1)).toBe("these call net.* and fail without it: public.call_it()");
  expect(await db.query("select to_regclass('supabase_functions.hooks') is not null as there")).toEqual([
    { there: true },
  ]);
});

test("without --yes it says what would go and drops nothing", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  await leaveSlot(db);
  await db.query("select net.http_get('https://example.com')");
  const { lines, failure } = await uninstall(db.url);
  expect(failure).toMatchObject({ code: "USAGE", message: "nothing was dropped: uninstall needs --yes" });
  expect(lines.at(-1)).toBe("with 1 requests, 0 dead letters and 0 answers");
  expect(await there(db)).toEqual(ALL);
});

test("uninstall --json prints one object: what would be lost, and what was dropped", async () => {
  await using db = await testDatabase();
  await leaveSlot(db);
  await db.query("create table net.mine (id int)");
  await db.query("create function call_it() returns bigint language sql as $$ select net.http_get('x') $$");
  await db.query("select net.http_get('https://example.com')");
  const found = { losses: { requests: 1, deadLetters: 0, answers: 0 }, callers: ["public.call_it()"] };
  const plan = await uninstall(db.url, "--json");
  expect(plan.failure).toMatchObject({ code: "USAGE" });
  expect(plan.lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ uninstalled: false, ...found }]);
  const refused = await uninstall(db.url, "--yes", "--json");
  expect(refused).toMatchObject({ lines: [], failure: { code: "NOT_DONE" } });
  const done = await uninstall(db.url, "--yes", "--force", "--json");
  expect(done.failure).toBeNull();
  expect(done.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      uninstalled: true,
      ...found,
      slot: `pgnetd_${db.name}`,
      slotsLeft: [],
      publications: ["pgnetd_outbox", "pgnetd_settings"],
      schemas: { dropped: [], kept: [{ schema: "net", objects: ["table net.mine"] }] },
      placeholder: null,
    },
  ]);
  expect(await there(db)).toEqual({ slots: 0, publications: 0, net: true, webhooks: false });
});

test.for([
  ["select net.http_get('https://example.com')", "1 requests wait and there are 0 dead letters: they would be lost"],
  [
    `insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts)
     values (1, 'GET', 'https://example.com', 1, now(), 1)`,
    "0 requests wait and there are 1 dead letters: they would be lost",
  ],
] as const)("it refuses to lose what is there: %s", async ([insert, message]) => {
  await using db = await testDatabase();
  await db.query(insert);
  expect((await uninstall(db.url, "--yes")).failure).toMatchObject({ code: "NOT_DONE", message });
  expect((await uninstall(db.url, "--yes", "--force")).failure).toBeNull();
  expect(await there(db)).toEqual(NOTHING);
});

test("it refuses while a daemon runs, and names its process", async () => {
  await using db = await testDatabase();
  await using _daemon = await startInProcess(db.url);
  const [leader] = await db.query<{ pid: number }>("select net._leader_pid() as pid");
  expect((await uninstall(db.url, "--yes", "--force")).failure).toMatchObject({
    code: "NOT_DONE",
    exitCode: 75,
    message: `pgnetd is connected to this database: process ${leader?.pid}`,
  });
  await db.query("select net.check_worker_is_up()");
});

test.for([
  ["create view mine as select * from net._http_response", "view public.mine depends on table net._http_response"],
  [
    `create table orders (id int); create trigger hook after insert on orders
     for each row execute function supabase_functions.http_request('https://example.com', 'POST')`,
    "trigger hook on table public.orders depends on function supabase_functions.http_request()",
  ],
] as const)("where others use it nothing is dropped: %s", async ([use, detail]) => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  await leaveSlot(db);
  await db.query(use);
  expect((await uninstall(db.url, "--yes")).failure).toMatchObject({
    code: "NOT_DONE",
    message: `others use what would be dropped: ${detail}`,
  });
  expect(await there(db)).toEqual(ALL);
});

test("while a transaction uses the tables nothing is dropped", async () => {
  await using db = await testDatabase();
  await db.pool.connect().then(async (other) => {
    await other.query("begin");
    await other.query("select from net.http_request_queue");
    expect((await uninstall(db.url, "--yes")).failure).toMatchObject({
      code: "NOT_DONE",
      message: "other transactions use the tables of pgnetd",
    });
    await other.query("rollback");
    other.release();
  });
  expect(await there(db)).toMatchObject({ publications: 2, net: true });
});

test("uninstall waits for the session of a daemon that has just ended", async () => {
  await using db = await testDatabase();
  const ending = new pg.Client({ connectionString: db.url, application_name: "pgnetd (pg_net) leader" });
  await ending.connect();
  const uninstalled = uninstall(db.url, "--yes");
  await eventually(async () => {
    const waiting = await db.query(
      "select from pg_locks where locktype = 'advisory' and classid = 1885826676 and database = (select oid from pg_database where datname = current_database())",
    );
    return waiting.length > 0;
  });
  await ending.end();
  expect((await uninstalled).failure).toBeNull();
  expect(await there(db)).toEqual(NOTHING);
});

test("a role that may not drop the slot drops nothing", async () => {
  await using db = await testDatabase({ migrated: false });
  const role = `owner_${db.name}`;
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  await db.query(`create role ${role} login replication password 'secret'`);
  try {
    await db.query(`grant create on database ${db.name} to ${role}`);
    await migrate(url.href);
    await leaveSlot({ url: url.href });
    await db.query(`alter role ${role} noreplication`);
    expect((await uninstall(url.href, "--yes")).failure).toMatchObject({ code: "PG_REFUSED", exitCode: 77 });
    expect(await there(db)).toMatchObject({ slots: 1, publications: 2, net: true });
    await db.query(`alter role ${role} replication`);
    expect((await uninstall(url.href, "--yes")).failure).toBeNull();
    expect(await there(db)).toEqual(NOTHING);
  } finally {
    await db.query(`drop owned by ${role}`);
    await db.query(`drop role ${role}`);
  }
});

test("a schema that another role owns stays, and is named", async () => {
  await using db = await testDatabase({ migrated: false });
  const [role, owner] = [`role_${db.name}`, `owner_${db.name}`];
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  // Trusted, as a member by an administrator's word, but without the owner's rights.
  await db.query(
    `create role ${owner}; create role ${role} login replication noinherit password 'secret' in role ${owner}`,
  );
  try {
    await db.query(`grant create on database ${db.name} to ${role}`);
    await migrate(url.href);
    await db.query(`alter schema net owner to ${owner}; grant all on schema net to ${role}`);
    const { lines, failure } = await uninstall(url.href, "--yes");
    expect(failure).toBeNull();
    expect(lines.at(-1)).toBe("schema net stays: another role owns it");
    expect(await there(db)).toEqual({ ...NOTHING, net: true });
  } finally {
    await db.query(`drop owned by ${role}, ${owner} cascade`);
    await db.query(`drop role ${role}, ${owner}`);
  }
});

test("a database without pgnetd is left as it is", async () => {
  await using db = await testDatabase({ migrated: false });
  const { lines, failure } = await uninstall(db.url, "--yes");
  expect(failure).toBeNull();
  expect(lines).toEqual(["there was no replication slot", "pgnetd was not installed in this database"]);
});
