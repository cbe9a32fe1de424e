import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { QueryResultRow } from "pg";
import { expect, test } from "vitest";
import { openPool } from "../../src/pg/pool.ts";
import { PUBLICATIONS, selectPublications } from "../../src/wal/publications.ts";
import { emptied } from "../support/outbox.ts";
import { startPipeline } from "../support/pipeline.ts";
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

test("nobody who may create functions and operators has them run by the daemon", async () => {
  await using db = await testDatabase();
  await shadow(db);
  await using receiver = await startReceiver();
  const client = await db.pool.connect();
  try {
    await client.query("set search_path = pg_catalog");
    const query = async <Row extends QueryResultRow>(text: string): Promise<Row[]> =>
      (await client.query<Row>(text)).rows;
    {
      await using daemon = await startPipeline(db.url);
      await query("insert into net.http_host_settings (host, rate_per_second) values ('127.0.0.1', 100)");
      await query(`select net.http_post('${receiver.url("/answered")}'),
        net.http_request('GET', '${receiver.url("/later")}', delay := '100 ms'),
        net.http_request('GET', 'http://127.0.0.1:1/', max_attempts := 2, retry_first_ms := 10)`);
      await fetch(`${daemon.address}/readyz`);
      await emptied({ query });
      await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
      await pool.query({ text: selectPublications(PUBLICATIONS) });
    }
    expect(await query("select distinct what from public.taken")).toEqual([]);
    expect(await query("select from net.http_dead_letter")).toHaveLength(1);
    expect(await query("select from net._http_response")).toHaveLength(2);
  } finally {
    client.release();
  }
});
