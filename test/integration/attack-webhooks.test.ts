import pg from "pg";
import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

/** A role that may call, with the rights that every role has by default: here, to make temporary objects. */
async function openCaller(
  db: TestDatabase,
  kind: "open" | "restricted" = "restricted",
): Promise<pg.Client & AsyncDisposable> {
  const role = `${db.name}_caller`;
  await db.query(`create role ${role} login password 'secret'`);
  await migrate(db.url, { webhooks: true, grants: { kind, callers: role } });
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  return Object.assign(client, {
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await db.query(`drop owned by ${role}; drop role ${role}`);
    },
  });
}

/** Types with casts to json that show who runs them; a cast is made by the owner of a type. */
const TYPES = `
  create temp table ran (who text);
  grant all on ran to public;
  create type pg_temp.mood as enum ('glad', 'sad, "very"');
  create function pg_temp.code(pg_temp.mood) returns json language plpgsql as $$
    begin insert into pg_temp.ran values (current_user); return '"code"'; end $$;
  create cast (pg_temp.mood as json) with function pg_temp.code(pg_temp.mood);
  create type pg_temp.span as range (subtype = date);
  create function pg_temp.code(pg_temp.span) returns json language plpgsql as $$
    begin insert into pg_temp.ran values (current_user); return '"code"'; end $$;
  create cast (pg_temp.span as json) with function pg_temp.code(pg_temp.span);
  create domain pg_temp.temper as pg_temp.mood;
  create type pg_temp.pair as (a int, b pg_temp.mood)`;

test.for(["open", "restricted"] as const)(
  "who may use webhooks under %s grants runs no code with the rights of their owner",
  async (kind) => {
    await using db = await testDatabase();
    await using caller = await openCaller(db, kind);
    await caller.query(TYPES);
    await caller.query(`
    create temp table harmful (
      id int, gone int, one pg_temp.mood, many pg_temp.mood[], "two words" pg_temp.temper, span pg_temp.span, pair pg_temp.pair, t text);
    alter table harmful drop column gone;
    create trigger hook after insert or update or delete on harmful for each row
    execute function supabase_functions.http_request('http://h/', 'POST');
    create trigger statement after insert on harmful
    execute function supabase_functions.http_request('http://h/', 'POST')`);
    await caller.query(`
    insert into harmful values (1, 'glad', array['glad', null, 'sad, "very"']::pg_temp.mood[], 'glad',
      '[2026-01-01,2026-01-02)', (1, null), 'x');
    update harmful set one = null;
    delete from harmful`);
    expect((await caller.query("select who from ran")).rows).toEqual([]);
    const sent = await db.query<{ body: Record<string, unknown> }>(
      "select convert_from(body, 'UTF8')::jsonb as body from net.http_request_queue order by id",
    );
    const record = {
      id: 1,
      one: "glad",
      many: ["glad", null, 'sad, "very"'],
      "two words": "glad",
      span: "[2026-01-01,2026-01-02)",
      pair: "(1,)",
      t: "x",
    };
    expect(sent.map(({ body }) => [body["type"], body["record"], body["old_record"]])).toEqual([
      ["INSERT", record, null],
      ["INSERT", null, null],
      ["UPDATE", { ...record, one: null }, record],
      ["DELETE", null, { ...record, one: null }],
    ]);
  },
);

test("rows without such types are sent as PostgreSQL makes JSON of them", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  await db.query(`
    create type pair as (a int, b text);
    create table items (id int, tags text[], pair pair, price numeric, more jsonb);
    create trigger hook after insert on items for each row execute function supabase_functions.http_request('http://h/', 'POST');
    insert into items values (1, '{a,b}', (1, 'x'), 1.50, '{"a": 1}')`);
  const [row] = await db.query<{ record: string; made: string }>(`
    select (convert_from(body, 'UTF8')::jsonb -> 'record')::text as record, (select to_jsonb(items)::text from items) as made
    from net.http_request_queue`);
  expect(row?.record).toBe(row?.made);
  expect(row?.record).toContain('"pair": {"a": 1, "b": "x"}');
});

test("a composite with a type of somebody who has the owner's rights is sent as an object, with one of anybody else as text", async () => {
  await using db = await testDatabase({ migrated: false });
  const [daemon, member, other] = ["daemon", "member", "other"].map((name) => `${db.name}_${name}`);
  await db.query(`create role ${daemon} login password 'x'; create role ${member} in role ${daemon}; create role ${other};
    grant create on database ${db.name} to ${daemon}`);
  try {
    const url = new URL(db.url);
    url.username = daemon ?? "";
    url.password = "x";
    await migrate(url.href, { webhooks: true });
    await db.query(`
      create schema app; grant all on schema app to ${member}, ${other};
      set role ${member}; create type app.mood as enum ('glad'); create type app.one as (a int, b app.mood);
      set role ${other}; create type app.temper as enum ('glad'); create type app.two as (a int, b app.temper); reset role;
      create table items (one app.one, two app.two, three app.temper);
      create trigger hook after insert on items for each row execute function supabase_functions.http_request('http://h/', 'POST');
      insert into items values (row(1, 'glad'), row(1, 'glad'), 'glad')`);
    expect(
      await db.query("select convert_from(body, 'UTF8')::jsonb -> 'record' as record from net.http_request_queue"),
    ).toEqual([{ record: { one: { a: 1, b: "glad" }, two: "(1,glad)", three: "glad" } }]);
  } finally {
    await db.query(`drop owned by ${daemon}, ${member}, ${other} cascade; drop role ${daemon}, ${member}, ${other}`);
  }
});
