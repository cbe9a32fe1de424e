import { afterAll, beforeAll, expect, test } from "vitest";
import { type DaemonRole, daemonRole } from "../support/daemon-role.ts";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Received, type Receiver, startReceiver } from "../support/receiver.ts";

// SQL as people write it around pg_net, in the forms that guides and projects have. None of it was changed for pgnetd.

let owner: DaemonRole;
let db: TestDatabase;
let receiver: Receiver;
let daemon: InProcessDaemon;
/** A role of the application, without any right of its own. */
let app: string;

beforeAll(async () => {
  owner = await daemonRole();
  db = await testDatabase({ migrated: false });
  const url = await owner.own(db);
  receiver = await startReceiver();
  app = `${db.name}_app`;
  await db.query(`create role ${app}; create schema app; grant usage on schema app to ${app}`);
  daemon = await startInProcess(url);
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await db.query(`drop owned by ${app}; drop role ${app}`);
  await receiver[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
  await owner[Symbol.asyncDispose]();
});

/** The request that comes to `path`. */
async function received(path: string): Promise<Received> {
  return eventually(() => receiver.requests.find((one) => one.path === path));
}

/** Runs statements in one session as the application's role. */
async function asApp(text: string): Promise<Record<string, unknown>[]> {
  const client = await db.pool.connect();
  try {
    await client.query(`set role ${app}`);
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.query("reset role");
    client.release();
  }
}

test("a trigger that posts the new row sends it after the commit", async () => {
  await db.query(`
    create table app.orders (id bigint generated always as identity primary key, total numeric);
    create or replace function app.notify_order() returns trigger language plpgsql as $$
    declare
      request_id bigint;
    begin
      select net.http_post(
        url := '${receiver.url("/orders")}',
        headers := '{"Content-Type": "application/json", "Authorization": "Bearer token"}'::jsonb,
        body := jsonb_build_object('type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema,
          'record', to_jsonb(new), 'old_record', null)
      ) into request_id;
      return new;
    end $$;
    create trigger order_created after insert on app.orders for each row execute function app.notify_order();
    insert into app.orders (total) values (12.50)`);
  const { headers, body } = await received("/orders");
  expect(headers).toMatchObject({ authorization: "Bearer token", "content-type": "application/json" });
  expect(body.toString()).toContain("12.50");
  expect(JSON.parse(body.toString())).toEqual({
    type: "INSERT",
    table: "orders",
    schema: "app",
    record: { id: 1, total: 12.5 },
    old_record: null,
  });
});

test("a security definer trigger with an empty search_path sends for a role without rights on net", async () => {
  await db.query(`
    create table app.profiles (id uuid primary key default gen_random_uuid(), email text);
    grant insert on app.profiles to ${app};
    create function app.welcome() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      perform net.http_post('${receiver.url("/welcome")}', pg_catalog.jsonb_build_object('email', new.email));
      return null;
    end $$;
    revoke execute on function app.welcome() from public;
    create trigger welcome after insert on app.profiles for each row execute function app.welcome()`);
  await asApp("insert into app.profiles (email) values ('a@example.com')");
  expect(JSON.parse((await received("/welcome")).body.toString())).toEqual({ email: "a@example.com" });
});

test("where public may not use net, a definer's wrapper is the only way to send", async () => {
  await db.query(`
    create function app.send_event(name text) returns bigint language sql security definer set search_path = '' as $$
      select net.http_post('${receiver.url("/wrapped")}', pg_catalog.jsonb_build_object('event', name))
    $$;
    revoke all on schema net from public;
    revoke all on all functions in schema net from public;
    revoke all on all tables in schema net from public`);
  try {
    for (const text of [
      "select net.http_get('http://127.0.0.1:9/')",
      "select * from net._http_response",
      "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'http://127.0.0.1:9/', 1)",
    ]) {
      await expect(asApp(text)).rejects.toMatchObject({ code: "42501" });
    }
    await asApp("select app.send_event('login')");
    await received("/wrapped");
  } finally {
    await db.query(`
      grant usage on schema net to public; grant execute on all functions in schema net to public;
      grant all on net.http_request_queue, net._http_response to public`);
  }
});

test("a cron job calls an edge function with its address and key from Vault", async () => {
  await db.query(`
    create schema vault; create schema cron;
    create table vault.secrets (name text primary key, secret text);
    create view vault.decrypted_secrets as select name, convert_from(decode(secret, 'base64'), 'UTF8') as decrypted_secret from vault.secrets;
    create function vault.create_secret(value text, name text) returns void language sql as
      $$ insert into vault.secrets values (name, encode(convert_to(value, 'UTF8'), 'base64')) $$;
    create table cron.job (jobname text primary key, schedule text, command text);
    create function cron.schedule(text, text, text) returns void language sql as $$ insert into cron.job values ($1, $2, $3) $$;
    select vault.create_secret('${receiver.url("")}', 'project_url');
    select vault.create_secret('anon-key', 'anon_key');
    select cron.schedule('remind-every-minute', '* * * * *', $$
      select net.http_post(
        url := (select decrypted_secret from vault.decrypted_secrets where name = 'project_url') || '/functions/v1/remind',
        headers := jsonb_build_object('Content-type', 'application/json',
          'Authorization', 'Bearer ' || (select decrypted_secret from vault.decrypted_secrets where name = 'anon_key')),
        body := concat('{"time": "', now(), '"}')::jsonb
      ) as request_id;
    $$)`);
  // As pg_cron runs it: a session of its own, one statement.
  const [job] = await db.query<{ command: string }>("select command from cron.job");
  await db.query(job?.command ?? "");
  const { headers, body } = await received("/functions/v1/remind");
  expect(headers).toMatchObject({ authorization: "Bearer anon-key", "content-type": "application/json" });
  expect(JSON.parse(body.toString())).toEqual({ time: expect.any(String) as unknown });
});

test("a wrapper of one's own polls the answers and tries again what failed", async () => {
  let tries = 0;
  receiver.behave(({ path }) => ({
    kind: "answer",
    status: path === "/flaky" && (tries += 1) < 3 ? 503 : 200,
    body: '{"done": true}',
  }));
  await db.query(`
    create table app.outgoing (id int primary key, url text, request_id bigint, tries int default 0, state text default 'new', answer jsonb);
    create procedure app.work() language plpgsql as $$
    declare
      job app.outgoing;
      result net.http_response_result;
    begin
      for job in select * from app.outgoing where state in ('new', 'sent') for update skip locked loop
        if job.state = 'new' then
          update app.outgoing set state = 'sent', tries = tries + 1,
            request_id = net.http_post(job.url, jsonb_build_object('job', job.id)) where id = job.id;
          continue;
        end if;
        result := net._http_collect_response(job.request_id);
        if result.status = 'PENDING' then
          continue;
        elsif result.status = 'SUCCESS' and (result.response).status_code between 200 and 299 then
          update app.outgoing set state = 'done', answer = (result.response).body::jsonb where id = job.id;
        elsif job.tries >= 5 then
          update app.outgoing set state = 'failed' where id = job.id;
        else
          update app.outgoing set state = 'new' where id = job.id;
        end if;
      end loop;
    end $$;
    insert into app.outgoing (id, url) values (1, '${receiver.url("/flaky")}'), (2, 'http://127.0.0.1:9/closed')`);
  await eventually(async () => {
    await db.query("call app.work()");
    return (await db.query("select from app.outgoing where state in ('new', 'sent')")).length === 0;
  }, 20_000);
  expect(await db.query("select id, tries, state, answer from app.outgoing order by id")).toEqual([
    { id: 1, tries: 3, state: "done", answer: { done: true } },
    { id: 2, tries: 5, state: "failed", answer: null },
  ]);
  expect(tries).toBe(3);
});

test("a call that waits for its answer in a transaction of its own has it as a row", async () => {
  receiver.behave({ kind: "answer", status: 201, headers: { "X-Id": "7" }, body: '{"id": 7}' });
  const [sent] = await db.query<{ id: string }>("select net.http_get($1) as id", [receiver.url("/waited")]);
  expect(
    await db.query(
      `select status, message, (response).status_code, (response).headers ->> 'X-Id' as header, (response).body::json ->> 'id' as id
      from net._http_collect_response($1, async := false)`,
      [sent?.id],
    ),
  ).toEqual([{ status: "SUCCESS", message: "ok", status_code: 201, header: "7", id: "7" }]);
  receiver.behave({ kind: "answer" });
});

test("queries that people look for outage with find it", async () => {
  await emptied(db);
  await db.query("delete from net._http_response");
  receiver.behave(({ path }) => {
    if (path === "/slow") return { kind: "hang" };
    return { kind: "answer", status: path === "/bad" ? 500 : 200, body: '{"data": [{"id": 1}]}' };
  });
  await db.query(
    `select net.http_get('${receiver.url("/good")}'), net.http_get('${receiver.url("/bad")}'),
      net.http_get('${receiver.url("/slow")}', timeout_milliseconds := 50), net.http_get('http://127.0.0.1:9/')`,
  );
  await emptied(db);
  receiver.behave({ kind: "answer" });
  const queries: readonly (readonly [string, unknown])[] = [
    [
      "select status_code, count(*)::int from net._http_response group by status_code order by 1 nulls last",
      [
        { status_code: 200, count: 1 },
        { status_code: 500, count: 1 },
        { status_code: null, count: 2 },
      ],
    ],
    [
      "select content::json -> 'data' -> 0 ->> 'id' as id from net._http_response where status_code = 200",
      [{ id: "1" }],
    ],
    ["select (content::jsonb)['data'][0]['id'] as id from net._http_response where status_code = 200", [{ id: 1 }]],
    ["select count(*)::int from net._http_response where status_code >= 400 or error_msg is not null", [{ count: 3 }]],
    ["select count(*)::int from net._http_response where timed_out", [{ count: 1 }]],
    [
      `select r.id is not null as answered, q.id is null as gone from net._http_response r
        full join net.http_request_queue q on q.id = r.id order by r.created desc limit 1`,
      [{ answered: true, gone: true }],
    ],
    [
      "select date_trunc('hour', created) < now() as past, count(*)::int from net._http_response group by 1",
      [{ past: true, count: 4 }],
    ],
    ["select count(*)::int from net.http_request_queue where created < now() - interval '5 minutes'", [{ count: 0 }]],
    [
      "select headers ->> 'content-type' is null as mixed from net._http_response where status_code = 200",
      [{ mixed: true }],
    ],
  ];
  for (const [text, rows] of queries) expect({ text, rows: await db.query(text) }).toEqual({ text, rows });
  const latest = await db.query<{ id: string }>("select id from net._http_response order by created desc limit 10");
  expect(latest).toHaveLength(4);
  await db.query(
    "delete from net._http_response where created < now() - interval '1 day'; truncate net._http_response",
  );
  await db.query("alter sequence net.http_request_queue_id_seq restart with 500000");
  expect(await asApp("select net.http_get('http://127.0.0.1:9/')")).toEqual([{ http_get: "500000" }]);
});

test("row level security on the answers shows each role its own, and the daemon stores them all the same", async () => {
  await db.query(`
    create table app.requests (request_id bigint primary key, owner name default current_user);
    grant all on app.requests to ${app};
    alter table net._http_response enable row level security;
    create policy own_answers on net._http_response for select to ${app}
      using (exists (select from app.requests r where r.request_id = id and r.owner = current_user))`);
  try {
    await asApp(`insert into app.requests (request_id) select net.http_get('${receiver.url("/mine")}')`);
    await db.query(`select net.http_get('${receiver.url("/other")}')`);
    await emptied(db);
    await eventually(async () => (await asApp("select status_code from net._http_response")).length === 1);
    expect((await db.query("select from net._http_response")).length).toBeGreaterThan(1);
    expect(await asApp("delete from net._http_response returning id")).toEqual([]);
  } finally {
    await db.query(
      "drop policy own_answers on net._http_response; alter table net._http_response disable row level security",
    );
  }
});

test("row level security that is forced on the owner holds up answers, and loses none", async () => {
  await db.query("alter table net._http_response enable row level security, force row level security");
  let id: string | undefined;
  try {
    const [sent] = await db.query<{ id: string }>("select net.http_get($1) as id", [receiver.url("/forced")]);
    id = sent?.id;
    await received("/forced");
    await eventually(() => daemon.lines.some(({ message }) => String(message).startsWith("results cannot be written")));
    expect(await db.query("select from net._http_response where id = $1", [id])).toEqual([]);
  } finally {
    await db.query("alter table net._http_response no force row level security, disable row level security");
  }
  await eventually(
    async () => (await db.query("select from net._http_response where id = $1", [id])).length === 1,
    30_000,
  );
  expect(receiver.countByPath().get("/forced")).toBe(1);
}, 60_000);

test("rights for roles, and default privileges before and after, are granted as with pg_net", async () => {
  await db.query(`
    alter default privileges in schema net revoke execute on functions from public;
    alter default privileges in schema net grant select on tables to ${app};
    grant usage on schema net to ${app};
    grant all on all tables in schema net to ${app};
    grant all on all sequences in schema net to ${app};
    grant all on all routines in schema net to ${app};
    grant execute on function net.http_get(text, jsonb, jsonb, integer) to ${app}`);
  expect(await asApp("select net.http_post('http://127.0.0.1:9/') > 0 as may")).toEqual([{ may: true }]);
  await db.query(`
    alter default privileges in schema net grant execute on functions to public;
    alter default privileges in schema net revoke select on tables from ${app}`);
});
