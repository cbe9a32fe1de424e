import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await db.query("truncate net.http_request_queue");
});

/** The row that `net.http_request(args)` leaves in the outbox, without the columns that are of no interest. */
async function enqueued(args: string, values: unknown[] = []): Promise<Record<string, unknown>> {
  await db.query(`select net.http_request(${args})`, values);
  const [row] = await db.query(
    "select method::text, url, headers, body, timeout_milliseconds, next_attempt_at, deduplication_key, options from net.http_request_queue",
  );
  return row ?? {};
}

const NOTHING = { next_attempt_at: null, deduplication_key: null, options: null };

describe("bodies of net.http_request", () => {
  test("none", async () => {
    expect(await enqueued("'get', 'http://h/'")).toEqual({
      method: "GET",
      url: "http://h/",
      headers: null,
      body: null,
      timeout_milliseconds: 5000,
      ...NOTHING,
    });
  });

  test.each([
    ["'tëxt'", Buffer.from("tëxt"), "text/plain; charset=utf-8"],
    ["'<a/>', 'application/xml'", Buffer.from("<a/>"), "application/xml"],
    [`'{"a": 1}'::jsonb`, Buffer.from('{"a": 1}'), "application/json"],
    [`'[]'::jsonb, 'application/vnd.api+json'`, Buffer.from("[]"), "application/vnd.api+json"],
    [`'\\x00ff'::bytea`, Buffer.from([0, 255]), "application/octet-stream"],
    [`'\\x00ff'::bytea, 'image/png'`, Buffer.from([0, 255]), "image/png"],
    [
      `net.form_urlencode('{"a": "b c"}'), 'application/x-www-form-urlencoded'`,
      Buffer.from("a=b+c"),
      "application/x-www-form-urlencoded",
    ],
  ])("%s", async (body, bytes, type) => {
    expect(await enqueued(`'POST', 'http://h/', ${body}`)).toMatchObject({
      body: bytes,
      headers: { "Content-Type": type },
    });
  });

  test.each(["null", "null::jsonb", "null::bytea"])("%s sends no body and no content type", async (body) => {
    expect(await enqueued(`'DELETE', 'http://h/', ${body}`)).toMatchObject({ body: null, headers: null });
  });

  test("a content type among the headers stays, unless another is asked for", async () => {
    const headers = `headers := '{"content-type": "text/csv", "X": "y"}'`;
    expect(await enqueued(`'PUT', 'http://h/', 'a,b', ${headers}`)).toMatchObject({
      headers: { "content-type": "text/csv", X: "y" },
    });
    await db.query("truncate net.http_request_queue");
    expect((await enqueued(`'PUT', 'http://h/', 'a,b', 'text/tsv', ${headers}`))["headers"]).toEqual({
      "Content-Type": "text/tsv",
      X: "y",
    });
  });

  test("params, headers, timeout", async () => {
    const args = `'patch', 'http://h/?a', params := '{"b": "c d"}', headers := '{"X": "y"}', timeout_milliseconds := 70`;
    expect(await enqueued(args)).toEqual({
      method: "PATCH",
      url: "http://h/?a&b=c%20d",
      headers: { X: "y" },
      body: null,
      timeout_milliseconds: 70,
      ...NOTHING,
    });
  });
});

describe("when net.http_request sends", () => {
  test("after a delay, counted from the call", async () => {
    await db.query(
      `begin; select pg_sleep(0.05); select net.http_request('GET', 'http://h/', delay := '1 hour'); commit`,
    );
    expect(
      await db.query(
        `select next_attempt_at between created + interval '1 hour 50 ms' and clock_timestamp() + interval '1 hour' as good
        from net.http_request_queue`,
      ),
    ).toEqual([{ good: true }]);
  });

  test("at a time", async () => {
    const at = new Date("2100-01-02T03:04:05.006Z");
    expect(await enqueued("'GET', 'http://h/', send_at := $1", [at])).toMatchObject({ next_attempt_at: at });
  });

  test.each(["delay := '0'", "send_at := now()", "send_at := '2000-01-01'"])("%s is at once", async (argument) => {
    expect(await enqueued(`'GET', 'http://h/', ${argument}`)).toMatchObject({ next_attempt_at: null });
  });

  test.each([
    ["delay := '1 s', send_at := now()", "delay and send_at exclude each other"],
    ["delay := '-1 s'", "delay must not be negative, got -00:00:01"],
    ["send_at := 'infinity'", "send_at must be a time, got infinity"],
  ])("%s is refused", async (argument, message) => {
    await expect(enqueued(`'GET', 'http://h/', ${argument}`)).rejects.toMatchObject({ code: "22023", message });
  });
});

describe("options of net.http_request", () => {
  test("are kept as given", async () => {
    const args = "max_attempts := 5, retry_first_ms := 100, retry_max_ms := 1000, max_redirects := 0, keep := 'status'";
    expect((await enqueued(`'GET', 'http://h/', ${args}`))["options"]).toEqual({
      max_attempts: 5,
      retry_first_ms: 100,
      retry_max_ms: 1000,
      max_redirects: 0,
      keep: "status",
    });
  });

  test("only those given", async () => {
    expect((await enqueued("'GET', 'http://h/', max_attempts := 2"))["options"]).toEqual({ max_attempts: 2 });
  });

  test.each([
    ["max_attempts := 0", "max_attempts must be from 1 to 1000, got 0"],
    ["max_attempts := 1001", "max_attempts must be from 1 to 1000, got 1001"],
    ["retry_first_ms := -1", "retry_first_ms must be 0 or more, got -1"],
    ["retry_max_ms := -1", "retry_max_ms must be 0 or more, got -1"],
    ["retry_first_ms := 10, retry_max_ms := 9", "retry_max_ms must be 10 or more, got 9"],
    ["max_redirects := -1", "max_redirects must be from 0 to 50, got -1"],
    ["max_redirects := 51", "max_redirects must be from 0 to 50, got 51"],
    ["keep := 'nothing'", "keep must be all, headers or status, got 'nothing'"],
  ])("%s is refused", async (argument, message) => {
    await expect(enqueued(`'GET', 'http://h/', ${argument}`)).rejects.toMatchObject({ code: "22023", message });
  });
});

describe("net.http_request refuses", () => {
  test.each([
    ["'FOO', 'http://h/'", 'unsupported method "FOO"'],
    ["null, 'http://h/'", 'unsupported method "null"'],
    ["'GET', 'http://h/', 'body'", "a GET request has no body"],
    ["'head', 'http://h/', '{}'::jsonb", "a HEAD request has no body"],
    ["'POST', 'http://h/', 'x', headers := '[]'", "headers must be a JSON object, not a JSON array"],
  ])("(%s)", async (args, message) => {
    const failure = enqueued(args);
    await expect(failure).rejects.toMatchObject({ code: "22023", message });
    await expect(failure).rejects.toHaveProperty("hint", expect.stringMatching(/\.$/));
  });
});

describe("a deduplication key", () => {
  const call = "select net.http_request('POST', 'http://h/', $1, deduplication_key := 'key')::int as id";
  async function send(body: string): Promise<unknown> {
    return (await db.query(call, [body]))[0]?.["id"];
  }

  test("makes the second call return the first request while that waits", async () => {
    const first = await send("one");
    expect(await send("two")).toBe(first);
    expect(await db.query("select convert_from(body, 'UTF8') as body from net.http_request_queue")).toEqual([
      { body: "one" },
    ]);
  });

  test("hides no id that is taken, where the sequence was set back", async () => {
    const first = await send("one");
    await db.query("update net.http_request_queue set deduplication_key = null");
    const setBack = "select setval('net.http_request_queue_id_seq', $1, false)";
    await db.query(setBack, [first]);
    const taken = { code: "23505", constraint: "http_request_queue_pkey" };
    await expect(db.query("select net.http_get('http://h/')")).rejects.toMatchObject(taken);
    await db.query(setBack, [first]);
    await expect(send("two")).rejects.toMatchObject(taken);
    expect(await send("two")).toBe(Number(first) + 1);
  });

  test("is free again once the request has ended", async () => {
    const first = await send("one");
    await db.query("delete from net.http_request_queue");
    expect(await send("two")).not.toBe(first);
  });

  test("holds among callers at the same time", async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, (_, index) => send(String(index))));
    expect(new Set(ids).size).toBe(1);
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 1 }]);
  });

  // Each would go on for ever: the timeout of the statement ends it.
  test("P9: ends a call also where a trigger takes no row, or a policy hides the request that has it", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin; set local statement_timeout = '10s'");
      await client.query(`create function public.none() returns trigger language plpgsql as 'begin return null; end'`);
      await client.query("savepoint before");
      await client.query(
        `create trigger none before insert on net.http_request_queue for each row execute function public.none()`,
      );
      expect((await client.query(call, ["one"])).rows).toEqual([{ id: null }]);
      await client.query("rollback to before");
      expect((await client.query(call, ["one"])).rows).toEqual([{ id: expect.any(Number) as unknown }]);
      await client.query(`alter table net.http_request_queue enable row level security;
        create policy own on net.http_request_queue using (body = 'two')`);
      await client.query("set local role pg_monitor");
      expect((await client.query(call, ["two"])).rows).toEqual([{ id: null }]);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });

  test("of a rolled-back request is free", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin");
      await client.query(call, ["one"]);
      const other = send("two");
      await client.query("rollback");
      await other;
    } finally {
      client.release();
    }
    expect(await db.query("select convert_from(body, 'UTF8') as body from net.http_request_queue")).toEqual([
      { body: "two" },
    ]);
  });
});
