import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runCommandAsked, runCommandLine, pgnetd } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import {
  createRoles,
  type ExtensionDatabase,
  type ExtensionServer,
  startPgNetServer,
} from "../support/extension-server.ts";
import { doctor, type FoundByDoctor } from "../support/doctor.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";

let server: ExtensionServer;
beforeAll(async () => {
  server = await startPgNetServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

let db: ExtensionDatabase;
beforeEach(async () => {
  db = await server.database();
  await db.query("create extension pg_net");
  return () => db[Symbol.asyncDispose]();
});

/** What applications make over pg_net's tables, functions and types. */
const APPLICATION = `
  create schema app; grant usage on schema app to public;
  create function app.answer_of(id bigint) returns net.http_response language sql as 'select (net._http_collect_response(id)).response';
  alter default privileges in schema app grant all on tables to anon;
  alter default privileges in schema app grant execute on functions to anon;

  create view app.failed with (security_barrier = true) as
    select id, error_msg, status_code from net._http_response where error_msg is not null or status_code >= 400;
  alter view app.failed owner to owner; revoke all on app.failed from anon; grant select on app.failed to reader;
  comment on view app.failed is 'it''s what failed';
  grant select (id, status_code) on app.failed to anon with grant option;
  create view app."How many" as select count(*) as n from app.failed;
  create view app.waiting as select * from net.http_request_queue;
  create materialized view app.by_status as select status_code, count(*) from net._http_response group by status_code;
  create unique index by_status_key on app.by_status (status_code);
  create function app.answer(id bigint) returns net.http_response_result language sql as 'select net._http_collect_response(id)';
  create function app.answers() returns setof net._http_response language sql stable as 'select * from net._http_response';
  revoke all on function app.answers() from public, anon; grant execute on function app.answers() to reader;
  create view app.from_answers as select id from app.answers();

  create table app.log (what text);
  create function app.note() returns trigger language plpgsql security definer as $$
    begin insert into app.log values (tg_name); return new; end $$;
  create trigger noted after insert on net._http_response for each row when (new.status_code = 200) execute function app.note();
  create trigger off after insert on net._http_response for each row execute function app.note();
  alter table net._http_response disable trigger off;
  create index by_code on net._http_response (status_code);

  alter table net._http_response enable row level security;
  create policy "some answers" on net._http_response for select to reader using (status_code = 200);
  revoke insert on net._http_response from public;
  grant select (id) on net._http_response to reader with grant option;
  grant usage on schema net to owner with grant option;
  revoke all on function net.http_post(text, jsonb, jsonb, jsonb, integer) from public;
  grant execute on function net.http_post(text, jsonb, jsonb, jsonb, integer) to owner;
  alter function net.http_get(text, jsonb, jsonb, integer) security definer;
  alter function net.http_get(text, jsonb, jsonb, integer) set search_path = net;

  create function net.own() returns int language sql as 'select 1';
  create table net.own_table (id int primary key);
  insert into net.own_table values (7)`;

/** What is to be the same before and after. */
const SEEN = {
  views: `select c.oid::regclass::text as name, pg_get_viewdef(c.oid) as definition, pg_get_userbyid(relowner) as owner, reloptions,
      array(select acl::text from unnest(relacl) as acl order by 1) as rights, (select string_agg(concat_ws(' ', attname, attacl), ', ' order by attnum)
        from pg_attribute where attrelid = c.oid and attacl is not null) as column_rights, obj_description(c.oid) as comment
    from pg_class c where relkind in ('v', 'm') and relnamespace = 'app'::regnamespace order by 1`,
  functions: `select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as definition, pg_get_userbyid(proowner) as owner,
      array(select acl::text from unnest(coalesce(proacl, acldefault('f', proowner))) as acl order by 1) as rights
    from pg_proc p where pronamespace = 'app'::regnamespace or proname = 'own' order by 1`,
  triggers: `select tgname, pg_get_triggerdef(oid) as definition, tgenabled from pg_trigger
    where tgrelid = 'net._http_response'::regclass order by 1`,
  policies: "select * from pg_policies order by policyname",
  security: "select relrowsecurity from pg_class where oid = 'net._http_response'::regclass",
  indexes: "select indexdef from pg_indexes where indexname in ('by_code', 'by_status_key') order by 1",
  rights: `select r.name, has_schema_privilege(r.name, 'net', 'usage with grant option') as schema,
      has_table_privilege(r.name, 'net._http_response', 'insert') as insert,
      has_column_privilege(r.name, 'net._http_response', 'id', 'select with grant option') as column,
      has_function_privilege(r.name, 'net.http_post(text, jsonb, jsonb, jsonb, integer)', 'execute') as post,
      has_function_privilege(r.name, 'net.http_get(text, jsonb, jsonb, integer)', 'execute') as get
    from unnest(array['owner', 'reader', 'anon']) as r (name)`,
  definer: "select proname from pg_proc where pronamespace = 'net'::regnamespace and prosecdef",
  own: "select id from net.own_table",
  counted: `select n::int, (select count(*)::int from app.waiting) as waiting, (select count(*)::int from app.by_status) as statuses
    from app."How many"`,
  answers: "select * from net._http_response order by id, created",
  requests: "select id, method::text, url, headers, body, timeout_milliseconds from net.http_request_queue order by id",
} as const;

async function look(): Promise<Record<string, unknown>> {
  const seen: Record<string, unknown> = {};
  for (const [name, query] of Object.entries(SEEN)) seen[name] = await db.query(query);
  return seen;
}

async function fill(): Promise<void> {
  await db.query(`
    select net.http_get('https://example.com/' || g) from generate_series(1, 5) g;
    select net.http_post('https://example.com/', '{"a": "ä"}', headers := '{"X": "1", "Content-Type": "application/json"}');
    delete from net.http_request_queue where id = 2;
    insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg, created) values
      (2, 200, 'text/plain', '{"A": "b"}', 'yes', false, null, now() - interval '1 hour'), (2, 200, null, null, null, null, null, now()),
      (9, null, null, null, null, true, 'Timeout of 5000 ms reached', now()), (null, 500, null, null, '', false, null, now())`);
}

test("moves requests, answers, ids and what others made, all in one transaction", async () => {
  await createRoles(db, "owner", "reader", "anon");
  await db.query(APPLICATION);
  await fill();
  await db.query("refresh materialized view app.by_status");
  const before = await look();
  const lines = await pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
  expect(lines[0]).toMatch(/^moved over from pg_net 0\.20\.4: 5 requests, 4 answers, \d+ things of others made again$/);
  expect(lines[1]).toMatch(/^schema installed: version \d+$/);
  expect(await look()).toEqual(before);
  expect(await db.query("select from pg_extension where extname = 'pg_net'")).toEqual([]);
  expect(await db.query("select net.http_get('https://example.com/') as id")).toEqual([{ id: "7" }]);
  expect(await pgnetd(db.url, "migrate")).toEqual([expect.stringMatching(/nothing to do$/)]);
});

test("what was carried over is sent, and triggers fire on the answers", async () => {
  await using receiver = await startReceiver();
  await db.query(`
    create table public.log (id bigint);
    create function public.note() returns trigger language plpgsql as 'begin insert into log values (new.id); return new; end';
    create trigger noted after insert on net._http_response for each row execute function public.note()`);
  await db.query("select net.http_post($1)", [receiver.url("/")]);
  const lines = await pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
  expect(lines).toContain(
    "trigger noted on net._http_response runs as the daemon's role now, no superuser: see that it may do what it does",
  );
  await using _daemon = await startInProcess(db.url);
  await receiver.waitFor(1);
  await eventually(async () => (await db.query("select from public.log where id = 1")).length === 1);
});

test("waits for transactions that use pg_net's tables, and what they commit is carried over", async () => {
  const caller = await db.pool.connect();
  let moving: ReturnType<typeof pgnetd>;
  try {
    await caller.query("begin; select net.http_get('https://example.com/late')");
    moving = pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
    moving.catch(() => undefined);
    await eventually(async () => {
      const waiting = await db.query(
        "select from pg_locks where not granted and relation = 'net.http_request_queue'::regclass",
      );
      return waiting.length === 1;
    });
    await caller.query("commit");
  } finally {
    caller.release(true);
  }
  expect((await moving)[0]).toContain(": 1 requests, 0 answers, ");
  expect(await db.query("select url from net.http_request_queue")).toEqual([{ url: "https://example.com/late" }]);
});

test("--dry-run prints SQL that does the same by hand, with migrate in between, and changes nothing", async () => {
  await createRoles(db, "owner", "reader", "anon");
  await db.query(APPLICATION);
  const before = await look();
  const lines = await pgnetd(db.url, "migrate", "--from-pg-net", "--dry-run");
  expect(await look()).toEqual(before);
  expect(await db.query("select from pg_extension where extname = 'pg_net'")).toHaveLength(1);
  const at = lines.indexOf("-- here comes what pgnetd migrate installs; then what others made is made again");
  expect(at).toBeGreaterThan(0);
  await db.query(lines.slice(0, at).join("\n"));
  await pgnetd(db.url, "migrate");
  await db.query(lines.slice(at).join("\n"));
  expect(await look()).toEqual(before);
});

test("--owner has another role own everything, which then migrates and runs by itself", async () => {
  await using receiver = await startReceiver();
  await createRoles(db, "move_daemon");
  await db.query(
    `alter role move_daemon login replication password 'x'; grant create on database ${db.name} to move_daemon`,
  );
  await db.query("select net.http_post($1)", [receiver.url("/")]);
  await pgnetd(db.url, "migrate", "--from-pg-net", "--yes", "--owner", "move_daemon");
  const url = new URL(db.url);
  url.username = "move_daemon";
  url.password = "x";
  expect((await pgnetd(url.href, "migrate"))[0]).toMatch(/nothing to do$/);
  expect(
    await db.query(
      "select distinct relowner::regrole::text as owner from pg_class where relnamespace = 'net'::regnamespace",
    ),
  ).toEqual([{ owner: "move_daemon" }]);
  await using _daemon = await startInProcess(url.href);
  await receiver.waitFor(1);
  await eventually(async () => (await db.query("select from net._http_response")).length === 1);
});

describe("asks first", () => {
  const moved = async (): Promise<boolean> =>
    (await db.query("select from pg_extension where extname = 'pg_net'")).length === 0;

  test("and does nothing without a yes, or without anybody to ask", async () => {
    expect((await runCommandLine(db.url, "migrate", "--from-pg-net")).failure).toMatchObject({ code: "USAGE" });
    const no = await runCommandAsked(db.url, () => Promise.resolve(false), "migrate", "--from-pg-net");
    expect(no.failure).toMatchObject({ code: "NOT_DONE", message: "nothing was changed: the answer was not yes" });
    expect(no.lines[0]).toBe("-- pg_net 0.20.4: 0 requests and 0 answers are carried over");
    expect(await moved()).toBe(false);
  });

  test("and moves over after a yes, with the parts that were asked for", async () => {
    const questions: string[] = [];
    const yes = (question: string): Promise<boolean> => Promise.resolve(questions.push(question) > 0);
    expect((await runCommandAsked(db.url, yes, "migrate", "--from-pg-net", "--webhooks")).failure).toBeNull();
    expect(questions).toEqual(["Move over now?"]);
    expect(await moved()).toBe(true);
    expect(await db.query("select to_regproc('supabase_functions.http_request') is not null as there")).toEqual([
      { there: true },
    ]);
  });

  test("and goes with --from-pg-net only", async () => {
    expect((await runCommandLine(db.url, "migrate", "--dry-run")).failure).toMatchObject({
      code: "USAGE",
      message: "--dry-run goes with --from-pg-net",
    });
  });
});

test("without pg_net it migrates, and says that there is nothing to move over", async () => {
  await db.query("drop extension pg_net");
  expect(await pgnetd(db.url, "migrate", "--from-pg-net")).toEqual([
    "the extension pg_net is not in this database: there is nothing to move over",
    expect.stringMatching(/^schema installed/),
  ]);
});

describe("refuses, names what is in the way, and changes nothing, where", () => {
  test.each([
    [
      "a table has a column of a type of pg_net",
      "create table t (method net.http_method)",
      /table public\.t: it depends on/,
    ],
    [
      "a default calls pg_net",
      "create table t (id bigint default net.http_get('http://h/'))",
      /default value for public\.t\.id: it depends on/,
    ],
    [
      "a table of pg_net has another column",
      "alter table net._http_response add note text",
      /column net\._http_response\.note: /,
    ],
    [
      "a table of pg_net has a constraint",
      "alter table net._http_response add check (status_code < 1000)",
      /alter table net\._http_response drop constraint/,
    ],
    [
      "ids come twice",
      "insert into net.http_request_queue values (1, 'GET', 'u', null, null, 1), (1, 'GET', 'u', null, null, 1)",
      /2 of them have the id/,
    ],
    [
      "row level security is forced on the owner",
      "alter table net._http_response enable row level security, force row level security",
      /no force row level security/,
    ],
    ["something in schema net has a name of pgnetd", "create table net.http_dead_letter ()", /http_dead_letter/],
  ])("%s", async (_, sql, message) => {
    await db.query(sql);
    await fill();
    const before = await db.query(SEEN.answers);
    const { failure } = await runCommandLine(db.url, "migrate", "--from-pg-net", "--yes");
    expect(failure).toMatchObject({ message: expect.stringMatching(message) as unknown });
    expect(await db.query(SEEN.answers)).toEqual(before);
    expect(await db.query("select from pg_extension where extname = 'pg_net'")).toHaveLength(1);
    expect(await db.query("select to_regclass('net.pgnetd_migrations') as there")).toEqual([{ there: null }]);
  });

  test("the role does not own the extension", async () => {
    await db.query(`do $$ begin if to_regrole('tenant') is null then create role tenant login password 'x'; end if; end $$;
      grant create on database ${db.name} to tenant`);
    const url = new URL(db.url);
    url.username = "tenant";
    url.password = "x";
    const { failure } = await runCommandLine(url.href, "migrate", "--from-pg-net", "--yes");
    expect(failure).toMatchObject({
      code: "PG_REFUSED",
      message: "the extension pg_net belongs to postgres, and tenant may not drop it",
    });
  });
});

test("doctor finds the extension in the way, with the command that moves over, and finds nothing after it", async () => {
  const look = async (...flags: readonly string[]): Promise<FoundByDoctor> =>
    (await doctor(db.url, "--only", "extension-pg-net", ...flags)).of("extension-pg-net");
  expect(await look("--pre")).toMatchObject({
    status: "fail",
    found: "schema net belongs to the extension pg_net",
    fix: expect.stringContaining("pgnetd migrate --from-pg-net moves over") as unknown,
  });
  await pgnetd(db.url, "migrate", "--from-pg-net", "--yes");
  expect(await look()).toMatchObject({ status: "ok" });
});
