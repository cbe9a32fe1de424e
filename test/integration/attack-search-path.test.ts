import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { readDatabaseStatus } from "../../src/ops/database-status.ts";
import { readRemaining } from "../../src/ops/remaining.ts";
import { connectionConfig, openPool } from "../../src/pg/pool.ts";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import { selectPublications, selectVersion } from "../../src/wal/publication-check.ts";
import { layDecoys, usedDecoys } from "../support/decoys.ts";
import { emptied } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

/** What arguments of the daemon's statements are, and what they could be taken for. */
const TYPES = [
  ..."int2 int4 int8 numeric float8 text name bool bytea jsonb timestamptz interval oid xid tid pg_lsn".split(" "),
  ..."int8[] text[] pg_publication_tables".split(" "),
];
const OPERATORS = ["=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "||", "->", "->>"];

const MAKE = `do $make$
declare
  types text[] := $types$;
  made integer := 0;
  body text := 'begin insert into public.taken values (%L); return null; end';
  one record;
begin
  for one in
    select l.t as l, r.t as r, op, case when op in ('+', '-', '*', '/', '||') then l.t when op like '->%' then 'text' else 'bool' end as result
    from unnest(types) as l (t), unnest(types) as r (t), unnest($operators$) as op
    where not exists (
      select from pg_operator as o where o.oprname = op and o.oprleft = l.t::regtype and o.oprright = r.t::regtype)
  loop
    made := made + 1;
    execute format('create function public.op%s(%s, %s) returns %s language plpgsql as %L',
      made, one.l, one.r, one.result, format(body, concat_ws(' ', one.l, one.op, one.r)));
    execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.op%s)', one.op, one.l, one.r, made);
  end loop;
  for one in
    select f.proname, f.result, args.list
    from (
      select p.proname, min(case when p.proretset or t.typtype = 'p' then 'text' else p.prorettype::regtype::text end) as result
      from pg_proc as p join pg_type as t on t.oid = p.prorettype
      where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and p.proname = any ($names$)
      group by p.proname
    ) as f, (
      select t as list from unnest(types) as t
      union all select concat_ws(', ', l, r) from unnest(types) as l, unnest(types) as r
    ) as args
  loop
    execute format('create function public.%I(%s) returns %s language plpgsql as %L',
      one.proname, one.list, one.result, format(body, format('%s(%s)', one.proname, one.list)));
  end loop;
end
$make$`;

/** Names that stand before a parenthesis without a schema anywhere in the source. */
async function calledNames(): Promise<string[]> {
  const folder = join(import.meta.dirname, "../../src");
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith(".ts"));
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return [
    ...new Set(texts.flatMap((text) => [...text.matchAll(/(?<![\w.])([a-z_]+)\(/g)].map(([, name]) => name ?? ""))),
  ];
}

function literal(values: readonly string[]): string {
  return `'{${values.map((value) => `"${value.replaceAll('"', '\\"')}"`).join(",")}}'::text[]`;
}

/** Fills schema public, as any role could where it may create there: by default up to PostgreSQL 14, and in what came from it. */
async function shadow(db: TestDatabase): Promise<void> {
  const names = await calledNames();
  const client = await db.pool.connect();
  try {
    await client.query("set search_path = pg_catalog");
    await client.query("create table public.taken (what text)");
    const values = { $types$: TYPES, $operators$: OPERATORS, $names$: names };
    await client.query(
      Object.entries(values).reduce((text, [name, list]) => text.replaceAll(name, () => literal(list)), MAKE),
    );
  } finally {
    client.release(true);
  }
}

type Query = <Row extends pg.QueryResultRow>(text: string) => Promise<Row[]>;

/** A session for the test itself, whose path is PostgreSQL's alone whatever the database's is. */
async function openSession(db: TestDatabase): Promise<pg.Client & AsyncDisposable & { readonly rows: Query }> {
  const client = new pg.Client(connectionConfig(db.url, "test"));
  await client.connect();
  return Object.assign(client, {
    rows: async <Row extends pg.QueryResultRow>(text: string) => (await client.query<Row>(text)).rows,
    [Symbol.asyncDispose]: () => client.end(),
  });
}

/** Runs a command of the command line; returns what it printed, and its error, if any. */
async function command(url: string, ...argv: readonly string[]): Promise<string> {
  const lines: string[] = [];
  await runProgram(argv, {
    env: { DATABASE_URL: url, PGNETD_ALLOW_NETWORKS: "127.0.0.1" },
    print: (line) => lines.push(line),
    stop: AbortSignal.timeout(20_000),
  });
  return lines.join("\n");
}

/** Requests of every kind: answered, waiting for a later time, and one that is tried twice and becomes a dead letter. */
function requests(address: string): string {
  return `select net.http_post('${address}/answered'), net.http_request('GET', '${address}/later', delay := '100 ms'),
    net.http_request('GET', 'http://127.0.0.1:1/', max_attempts := 2, retry_first_ms := 10)`;
}

test("nothing of a schema that stands before pg_catalog in the search_path is used by the daemon or a command", async () => {
  await using db = await testDatabase({ migrated: false });
  await using session = await openSession(db);
  await layDecoys(session, "evil");
  const [{ user } = { user: "" }] = await session.rows<{ user: string }>("select current_user as user");
  await session.query(`alter database ${db.name} set search_path = evil, pg_catalog;
    alter role "${user}" in database ${db.name} set search_path = evil, pg_catalog`);
  const url = new URL(db.url);
  url.searchParams.set("options", "-c search_path=evil,pg_catalog");
  await using receiver = await startReceiver();

  await command(url.href, "migrate", "--webhooks");
  {
    await using daemon = await startInProcess(url.href, { PGNETD_TTL: "1 hour" });
    await session.query("insert into net.http_host_settings (host, rate_per_second) values ('127.0.0.1', 100)");
    await session.query(requests(receiver.url("")));
    await session.query("insert into net._http_response (id, created) values (-1, '2000-01-01')");
    await fetch(`${daemon.address}/readyz`);
    await emptied({ query: session.rows });
    await command(url.href, "status");
  }
  expect(await session.rows("select from net.http_dead_letter")).toHaveLength(1);
  await command(url.href, "replay", "--all");
  await command(url.href, "drain", "--drop-slot", "--drop-publications");
  await command(url.href, "adopt", "--moved");
  await command(url.href, "migrate", "--grants", "restricted", "--callers", user);
  await command(url.href, "migrate", "--grants", "open");
  await expect(command(url.href, "uninstall")).rejects.toMatchObject({ code: "USAGE" });
  expect(await command(url.href, "uninstall", "--yes", "--force")).toContain("schema net is dropped");
  expect(await usedDecoys(session, "evil")).toEqual([]);
});

test("functions and operators with a closer match for the daemon's arguments are not used where a trigger changed the path", async () => {
  await using db = await testDatabase();
  await shadow(db);
  await using receiver = await startReceiver();
  await using session = await openSession(db);
  await session.query(`create function public.unpin() returns trigger language plpgsql as
      $$ begin perform pg_catalog.set_config('search_path', 'public', false); return new; end $$;
    create trigger unpin after insert on net._http_response for each row execute function public.unpin()`);
  {
    await using daemon = await startInProcess(db.url, { PGNETD_POOL_SIZE: "1" });
    await session.query(`select net.http_get('${receiver.url("/first")}')`);
    await emptied({ query: session.rows });
    await session.query("insert into net.http_host_settings (host, rate_per_second) values ('127.0.0.1', 100)");
    await session.query(requests(receiver.url("")));
    await fetch(`${daemon.address}/readyz`);
    await emptied({ query: session.rows });
    await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
    await pool.query({ text: "select pg_catalog.set_config('search_path', 'public', false)" });
    await pool.query({ text: selectPublications(PUBLICATIONS) });
    await pool.query({ text: selectVersion(PUBLICATIONS) });
    await readRemaining(pool, await readRemaining(pool, null));
    await readDatabaseStatus(pool, null);
  }
  expect(await session.rows("select distinct what from public.taken")).toEqual([]);
  expect(await session.rows("select from net.http_dead_letter")).toHaveLength(1);
  expect(await session.rows("select from net._http_response")).toHaveLength(3);
});
