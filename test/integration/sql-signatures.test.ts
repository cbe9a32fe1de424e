import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});

const JSON_TYPE = `'{"Content-Type": "application/json"}'::jsonb`;

/** pg_net 0.20: what callers write by position and by name, and what grants name. */
const SIGNATURES = [
  [
    "http_get",
    "url text, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{}'::jsonb, timeout_milliseconds integer DEFAULT 5000",
    "bigint",
  ],
  [
    "http_post",
    `url text, body jsonb DEFAULT '{}'::jsonb, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT ${JSON_TYPE}, timeout_milliseconds integer DEFAULT 5000`,
    "bigint",
  ],
  [
    "http_delete",
    "url text, params jsonb DEFAULT '{}'::jsonb, headers jsonb DEFAULT '{}'::jsonb, timeout_milliseconds integer DEFAULT 5000, body jsonb DEFAULT NULL::jsonb",
    "bigint",
  ],
  ["http_collect_response", "request_id bigint, async boolean DEFAULT true", "net.http_response_result"],
  ["_http_collect_response", "request_id bigint, async boolean DEFAULT true", "net.http_response_result"],
  ["_await_response", "request_id bigint", "boolean"],
  ["_urlencode_string", "string character varying", "text"],
  ["_encode_url_with_params_array", "url text, params_array text[]", "text"],
  ["worker_restart", "", "boolean"],
  ["wait_until_running", "", "void"],
  ["wake", "", "void"],
  ["check_worker_is_up", "", "void"],
] as const;

describe("the functions of pg_net", () => {
  test.each(SIGNATURES)("net.%s(%s) returns %s", async (name, args, result) => {
    expect(
      await db.query(
        `select pg_get_function_arguments(oid) as args, pg_get_function_result(oid) as result
        from pg_proc where pronamespace = 'net'::regnamespace and proname = $1`,
        [name],
      ),
    ).toEqual([{ args, result }]);
  });

  test("can be granted by their signature", async () => {
    await db.query(`
      grant execute on function net.http_get(text, jsonb, jsonb, integer) to public;
      grant execute on function net.http_post(text, jsonb, jsonb, jsonb, integer) to public;
      grant execute on function net.http_delete(text, jsonb, jsonb, integer, jsonb) to public;
      alter function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer) security definer;
      alter function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer) set search_path = net;
      alter function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) security definer;
      alter function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) set search_path = net`);
    await db.query("truncate net.http_request_queue");
    await db.query("select net.http_get('http://h/'), net.http_post('http://h/', params := '{\"a\": \"b c\"}')");
    expect(await db.query("select url from net.http_request_queue order by id")).toEqual([
      { url: "http://h/" },
      { url: "http://h/?a=b%20c" },
    ]);
  });

  test("can be called without their schema, as pg_net's can", async () => {
    await db.query("truncate net.http_request_queue");
    await db.query(`set search_path = net; select http_get(url:='http://h/', params:='{"hello": "world"}'::jsonb);
      select http_post('http://h/', '{}'::jsonb); select http_delete('http://h/'); reset search_path`);
    expect(await db.query("select method::text from net.http_request_queue order by id")).toEqual([
      { method: "GET" },
      { method: "POST" },
      { method: "DELETE" },
    ]);
  });
});

describe("the tables of pg_net", () => {
  async function columns(table: string): Promise<string[]> {
    const rows = await db.query<{ line: string }>(
      `select attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then ' not null' else '' end
          || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') as line
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = $1::regclass and attnum > 0 order by attnum`,
      [table],
    );
    return rows.map((row) => row.line);
  }

  test("net.http_request_queue begins with pg_net's columns", async () => {
    expect((await columns("net.http_request_queue")).slice(0, 6)).toEqual([
      "id bigint not null default nextval('net.http_request_queue_id_seq'::regclass)",
      "method net.http_method not null",
      "url text not null",
      "headers jsonb",
      "body bytea",
      "timeout_milliseconds integer not null",
    ]);
  });

  test("net._http_response has pg_net's columns and no other", async () => {
    expect(await columns("net._http_response")).toEqual([
      "id bigint",
      "status_code integer",
      "content_type text",
      "headers jsonb",
      "content text",
      "timed_out boolean",
      "error_msg text",
      "created timestamp with time zone not null default now()",
    ]);
  });

  test("both are logged: a crash loses nothing", async () => {
    expect(
      await db.query(
        "select relpersistence from pg_class where oid in ('net.http_request_queue'::regclass, 'net._http_response'::regclass)",
      ),
    ).toEqual([{ relpersistence: "p" }, { relpersistence: "p" }]);
  });

  test("types have pg_net's shape", async () => {
    expect(
      await db.query(`select enum_range(null::net.request_status)::text as status,
        (('SUCCESS', 'ok', (200, '{}', 'body')::net.http_response)::net.http_response_result)::text as result`),
    ).toEqual([{ status: "{PENDING,SUCCESS,ERROR}", result: '(SUCCESS,ok,"(200,{},body)")' }]);
  });

  test("the queries that users run", async () => {
    await db.query("truncate net.http_request_queue, net._http_response");
    await db.query(
      `insert into net._http_response (id, status_code, error_msg) values (1, 200, null), (2, 404, null), (3, null, 'x')`,
    );
    expect(
      await db.query(
        "select id::int from net._http_response where status_code >= 400 or error_msg is not null order by id",
      ),
    ).toEqual([{ id: 2 }, { id: 3 }]);
    await db.query("select net.http_get('http://h/') from generate_series(1, 3)");
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 3 }]);
    await db.query("delete from net.http_request_queue where id = (select min(id) from net.http_request_queue)");
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 2 }]);
    await db.query("truncate net.http_request_queue");
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 0 }]);
  });
});
