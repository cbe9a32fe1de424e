import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Received, type Receiver, startReceiver } from "../support/receiver.ts";

// What pg_net's and Supabase's documentation shows, from the call in SQL to the row with the answer. The receiver echoes
// as the public echo services there do: arguments, JSON body and headers.

let db: TestDatabase;
let receiver: Receiver;
let daemon: InProcessDaemon;
let seen = 0;

function echo(request: Received): string {
  const url = new URL(request.path, "http://echo");
  const text = request.body.toString();
  return JSON.stringify({
    method: request.method,
    path: url.pathname,
    args: Object.fromEntries(url.searchParams),
    json: text === "" ? null : (JSON.parse(text) as unknown),
    headers: request.headers,
  });
}

beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  await db.query("create table target_table (id int primary key, name text)");
  receiver = await startReceiver();
  receiver.behave((request) => ({
    kind: "answer",
    status: request.path.startsWith("/broken") ? 500 : 200,
    headers: { "Content-Type": "application/json" },
    body: echo(request),
  }));
  daemon = await startInProcess(db.url, { PGNETD_ALLOW_NETWORKS: "127.0.0.0/8,::1/128" });
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await db.query("truncate target_table; insert into target_table values (1, 'one'), (2, 'two')");
  seen = receiver.requests.length;
});

/** Runs SQL with `$URL` for the receiver and waits for the requests it makes. */
async function run(
  sql: string,
  requests = 1,
): Promise<{ rows: Record<string, unknown>[]; echoes: Record<string, unknown>[] }> {
  const rows = await db.query(sql.replaceAll("$URL", receiver.url("")));
  await receiver.waitFor(seen + requests);
  const received = receiver.requests.slice(seen);
  return { rows, echoes: received.map((one) => JSON.parse(echo(one)) as Record<string, unknown>) };
}

/** The answer as `net._http_collect_response` gives it, once it is there. */
async function collect(id: unknown): Promise<Record<string, unknown>> {
  const [row] = await db.query(
    `select status::text, message, (response).status_code, (response).headers, ((response).body::json)->'args' as args
    from net._http_collect_response($1, async := false)`,
    [id],
  );
  return row ?? {};
}

describe("calling an API", () => {
  test("with the query in the url", async () => {
    const { rows } = await run("SELECT net.http_get('$URL/get?foo1=bar1&foo2=bar2') AS request_id");
    expect(await collect(rows[0]?.["request_id"])).toMatchObject({
      status: "SUCCESS",
      message: "ok",
      status_code: 200,
      headers: { "Content-Type": "application/json" },
      args: { foo1: "bar1", foo2: "bar2" },
    });
  });

  test("with parameters to be encoded", async () => {
    const { rows } = await run(
      `SELECT net.http_get('$URL/get', '{"foo1": "bar1", "foo2": "bar2", "encoded": "!"}'::JSONB) AS request_id`,
    );
    expect(receiver.requests.at(-1)?.path).toBe("/get?foo1=bar1&foo2=bar2&encoded=%21");
    expect(await collect(rows[0]?.["request_id"])).toMatchObject({
      args: { foo1: "bar1", foo2: "bar2", encoded: "!" },
    });
  });

  test("with a key in a header", async () => {
    const { echoes } = await run(`SELECT net.http_get('$URL/get', headers := '{"API-KEY-HEADER": "the key"}'::JSONB)`);
    expect(echoes).toMatchObject([{ method: "GET", headers: { "api-key-header": "the key" } }]);
  });

  test("with a JSON body", async () => {
    const { rows, echoes } = await run(
      `select net.http_post(url := '$URL/post', body := '{"key1": "value", "key2": 5}'::jsonb) as request_id`,
    );
    expect(echoes).toMatchObject([{ method: "POST", json: { key1: "value", key2: 5 } }]);
    await collect(rows[0]?.["request_id"]);
    const [inspected] = await db.query<{ content: string }>(`select "content" from net._http_response where id = $1`, [
      rows[0]?.["request_id"],
    ]);
    expect(JSON.parse(inspected?.content ?? "")).toMatchObject({ json: { key1: "value", key2: 5 } });
  });

  test("of an edge function, headers before the body", async () => {
    const { echoes } = await run(`select net.http_post(
      url:='$URL/functions/v1/function-name',
      headers:='{"Content-Type": "application/json", "Authorization": "Bearer TOKEN"}'::jsonb,
      body:='{"name": "pg_net"}'::jsonb) as request_id`);
    expect(echoes).toMatchObject([{ json: { name: "pg_net" }, headers: { authorization: "Bearer TOKEN" } }]);
  });

  test("to delete, by path and by parameter", async () => {
    const { echoes } = await run(
      `WITH selected_id AS (SELECT id FROM target_table ORDER BY id LIMIT 1)
      SELECT net.http_delete('$URL/delete/' || id), net.http_delete('$URL/delete/'::TEXT, format('{"id": "%s"}', id)::JSONB)
      FROM selected_id`,
      2,
    );
    expect(echoes.map(({ method, path, args }) => ({ method, path, args }))).toEqual(
      expect.arrayContaining([
        { method: "DELETE", path: "/delete/1", args: {} },
        { method: "DELETE", path: "/delete/", args: { id: "1" } },
      ]),
    );
  });
});

describe("sending rows", () => {
  test("one row as payload", async () => {
    const { echoes } = await run(`WITH selected_row AS (SELECT * FROM target_table ORDER BY id LIMIT 1)
      SELECT net.http_post('$URL/post', to_jsonb(selected_row.*), headers := '{"API-KEY-HEADER": "k"}'::JSONB) AS request_id
      FROM selected_row`);
    expect(echoes).toMatchObject([{ json: { id: 1, name: "one" }, headers: { "content-type": "application/json" } }]);
  });

  test("several rows in one request", async () => {
    const { echoes } = await run(`with "selected_table_rows" as (
      select jsonb_agg(to_jsonb(target_table.*) order by id) as JSON_payload from target_table)
      select net.http_post(url := '$URL/post'::text, body := JSON_payload) as request_id from "selected_table_rows"`);
    expect(echoes).toMatchObject([
      {
        json: [
          { id: 1, name: "one" },
          { id: 2, name: "two" },
        ],
      },
    ]);
  });

  test("through a function that returns what it sent", async () => {
    await db.query(`create or replace function debugging_example (row_id int) returns jsonb language plpgsql as $$
      declare row_data jsonb;
      begin
        select to_jsonb(target_table.*) into row_data from target_table where id = row_id;
        perform net.http_post(url := '${receiver.url("/post")}', body := row_data) as request_id;
        raise log 'row %', row_data;
        return row_data;
      exception when others then raise exception 'An error occurred: %', SQLERRM;
      end $$`);
    const { rows, echoes } = await run("select debugging_example(2) as sent");
    expect(rows).toEqual([{ sent: { id: 2, name: "two" } }]);
    expect(echoes).toMatchObject([{ json: { id: 2, name: "two" } }]);
  });
});

describe("triggers", () => {
  test("after update, with the old and the new row", async () => {
    await db.query(`create or replace function on_update() returns trigger language plpgsql as $$
      begin
        perform "net"."http_post"('${receiver.url("/post")}'::text,
          jsonb_build_object('old_row', to_jsonb(old.*), 'new_row', to_jsonb(new.*)),
          headers:='{"Content-Type": "application/json"}'::jsonb) as request_id;
        return new;
      end $$;
      create trigger on_update after update on target_table for each row execute function on_update()`);
    const { echoes } = await run("update target_table set name = 'changed' where id = 1");
    expect(echoes).toMatchObject([{ json: { old_row: { id: 1, name: "one" }, new_row: { id: 1, name: "changed" } } }]);
  });

  test("after delete, with the key of the row in the path", async () => {
    await db.query(`create or replace function delete_record() returns trigger language plpgsql as $$
      begin
        perform net.http_delete(url := format('${receiver.url("")}/documents/%s', OLD.id), headers := '{"X-API-KEY": "k"}');
        return OLD;
      end $$;
      create trigger delete_record after delete on target_table for each row execute function delete_record()`);
    const { echoes } = await run("delete from target_table where id = 2");
    expect(echoes).toMatchObject([{ method: "DELETE", path: "/documents/2", headers: { "x-api-key": "k" } }]);
  });

  test("a database webhook", async () => {
    await db.query(`create trigger "my_webhook" after insert on "public"."target_table" for each row
      execute function "supabase_functions"."http_request"('${receiver.url("/hook")}', 'POST',
        '{"Content-Type":"application/json"}', '{}', '1000')`);
    const { echoes } = await run("insert into target_table values (3, 'three')");
    expect(echoes).toMatchObject([
      {
        json: {
          type: "INSERT",
          table: "target_table",
          schema: "public",
          record: { id: 3, name: "three" },
          old_record: null,
        },
      },
    ]);
    await db.query("drop trigger my_webhook on target_table");
  });
});

describe("the rest of a day", () => {
  test("the body of a cron job", async () => {
    const { echoes } = await run(`do $job$ begin execute $$
        -- SQL query
        select "net"."http_post"(
            url:='$URL/functions/v1/function-name',
            headers:='{"apikey": "k"}'::jsonb,
            body:='{"name": "pg_net"}'::jsonb
        ) as "request_id";
      $$; end $job$`);
    expect(echoes).toMatchObject([{ json: { name: "pg_net" }, headers: { apikey: "k" } }]);
  });

  test("finding what failed, and making it again with a wrapper that remembers", async () => {
    await db.query(`create table request_tracker (method text, url text, params jsonb, body jsonb, headers jsonb, request_id bigint);
      create function request_wrapper(method text, url text, params jsonb default '{}', body jsonb default '{}',
        headers jsonb default '{}') returns bigint language plpgsql as $$
      declare request_id bigint;
      begin
        if method = 'DELETE' then select net.http_delete(url:=url, params:=params, headers:=headers) into request_id;
        elsif method = 'POST' then select net.http_post(url:=url, body:=body, params:=params, headers:=headers) into request_id;
        elsif method = 'GET' then select net.http_get(url:=url, params:=params, headers:=headers) into request_id;
        end if;
        insert into request_tracker values (method, url, params, body, headers, request_id);
        return request_id;
      end $$`);
    const { rows } = await run(`select request_wrapper('POST', '$URL/broken', body := '{"a": 1}') as request_id`);
    const id = rows[0]?.["request_id"];
    expect(await collect(id)).toMatchObject({ status: "SUCCESS", status_code: 500 });
    expect(
      await db.query(
        `select id from net._http_response where "status_code" >= 400 or "error_msg" is not null order by "created" desc`,
      ),
    ).toEqual([{ id }]);

    const again = `with retry_request as (
        select t.* from request_tracker as t join net._http_response on net._http_response.id = t.request_id
        where net._http_response.status_code >= 500 limit 3
      ), retry as (
        select request_wrapper(r.method, r.url, r.params, r.body, r.headers) as request_id from retry_request as r
      ), delete_http_response as (
        delete from net._http_response where id in (select request_id from retry_request) returning *
      ), forgotten as (
        delete from request_tracker where request_id in (select request_id from retry_request)
      )
      select request_id from retry`;
    const retried = await run(again, 2);
    expect(retried.echoes).toMatchObject([{ json: { a: 1 } }, { json: { a: 1 } }]);
    expect(await collect(retried.rows[0]?.["request_id"])).toMatchObject({ status_code: 500 });
  });

  test("no answer at all is an ERROR in pg_net's words", async () => {
    const [made] = await db.query("select net.http_get('http://127.0.0.1:1/') as id");
    expect(await collect(made?.["id"])).toMatchObject({ status: "ERROR", message: "Couldn't connect to server" });
  });

  test("the daemon is up, can be waited for, woken and restarted", async () => {
    await db.query("select net.wait_until_running(), net.check_worker_is_up(), net.wake()");
    expect(await db.query("select net.worker_restart() as r")).toEqual([{ r: true }]);
    await db.query("select net.wait_until_running()");
    const { echoes } = await run("select net.http_get('$URL/after')");
    expect(echoes).toMatchObject([{ path: "/after" }]);
  });
});
