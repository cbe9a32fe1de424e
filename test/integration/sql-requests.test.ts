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

const JSON_TYPE = { "Content-Type": "application/json" };

/** The row a call leaves in the outbox; its body as text. */
async function enqueued(call: string, values: unknown[] = []): Promise<Record<string, unknown>> {
  const [made] = await db.query<{ id: string }>(`select ${call} as id`, values);
  const rows = await db.query(
    `select id, method::text, url, headers, convert_from(body, 'UTF8') as body, timeout_milliseconds from net.http_request_queue`,
  );
  expect(rows).toEqual([expect.objectContaining({ id: made?.id })]);
  const [{ id: _, ...row } = {}] = rows;
  return row;
}

describe("net.http_get", () => {
  test("puts one row into the outbox", async () => {
    expect(await enqueued("net.http_get('https://example.com/a?b=c')")).toEqual({
      method: "GET",
      url: "https://example.com/a?b=c",
      headers: {},
      body: null,
      timeout_milliseconds: 5000,
    });
    expect(
      await db.query(
        "select created = now() as now, created <= now() as past, next_attempt_at, attempts, deduplication_key, options from net.http_request_queue",
      ),
    ).toEqual([{ now: false, past: true, next_attempt_at: null, attempts: 0, deduplication_key: null, options: null }]);
  });

  test("takes its arguments by position", async () => {
    expect(await enqueued(`net.http_get('http://h/', '{"a": "b"}', '{"X-Key": "v"}', 100)`)).toEqual({
      method: "GET",
      url: "http://h/?a=b",
      headers: { "X-Key": "v" },
      body: null,
      timeout_milliseconds: 100,
    });
  });

  test("takes null params and headers", async () => {
    expect(await enqueued("net.http_get('http://localhost:8080', null::jsonb, null::jsonb, 100)")).toEqual({
      method: "GET",
      url: "http://localhost:8080",
      headers: null,
      body: null,
      timeout_milliseconds: 100,
    });
  });
});

describe("net.http_post", () => {
  test("posts an empty object as JSON unless asked otherwise", async () => {
    expect(await enqueued("net.http_post('http://h/')")).toEqual({
      method: "POST",
      url: "http://h/",
      headers: JSON_TYPE,
      body: "{}",
      timeout_milliseconds: 5000,
    });
  });

  test("takes its arguments by position", async () => {
    const row = await enqueued(
      `net.http_post('http://h/', '{"a": "ü"}', '{"p": 1}', '{"Content-Type": "application/json", "X": "y"}', 7)`,
    );
    expect(row).toEqual({
      method: "POST",
      url: "http://h/?p=1",
      headers: { ...JSON_TYPE, X: "y" },
      body: '{"a": "ü"}',
      timeout_milliseconds: 7,
    });
  });

  test("sends UTF-8 whatever the text", async () => {
    const text = 'ba"r \u0001 \\ €😀';
    const row = await enqueued("net.http_post('http://h/', jsonb_build_object('foo', $1::text))", [text]);
    expect(JSON.parse(String(row["body"]))).toEqual({ foo: text });
  });

  test("null body posts no body", async () => {
    expect(await enqueued("net.http_post('http://h/', body := null)")).toMatchObject({
      body: null,
      headers: JSON_TYPE,
    });
  });

  test.each([
    ['{"other": "val"}', { other: "val", ...JSON_TYPE }],
    [null, JSON_TYPE],
    ["{}", JSON_TYPE],
    ['{"content-type": "application/json"}', { "content-type": "application/json" }],
    ['{"Content-Type": "application/json; charset=utf-8"}', { "Content-Type": "application/json; charset=utf-8" }],
    ['{"CONTENT-TYPE": "Application/JSON ;charset=UTF-8"}', { "CONTENT-TYPE": "Application/JSON ;charset=UTF-8" }],
    ['{"X": "content-type"}', { X: "content-type", ...JSON_TYPE }],
    ['{"Content-Type": null}', JSON_TYPE],
  ])("with headers %s sends %j", async (headers, sent) => {
    expect((await enqueued("net.http_post('http://h/', headers := $1::jsonb)", [headers]))["headers"]).toEqual(sent);
  });

  test.each(["application/text", "application/x-www-form-urlencoded", "application/jsonx", ""])(
    "refuses the content type %j and names net.http_request",
    async (type) => {
      for (const name of ["Content-Type", "content-type"]) {
        for (const method of ["post", "put", "patch"]) {
          const call = db.query(`select net.http_${method}('http://h/', headers := $1)`, [
            JSON.stringify({ [name]: type }),
          ]);
          await expect(call).rejects.toMatchObject({
            code: "22023",
            message: 'Content-Type header must be "application/json"',
            hint: "Use net.http_request to send a body of any other type.",
          });
        }
      }
    },
  );
});

describe("net.http_delete", () => {
  test("has no body unless given one", async () => {
    expect(await enqueued(`net.http_delete('http://h/', '{"param-foo": "bar"}', '{"X-Baz": "foo"}', 5000)`)).toEqual({
      method: "DELETE",
      url: "http://h/?param-foo=bar",
      headers: { "X-Baz": "foo" },
      body: null,
      timeout_milliseconds: 5000,
    });
  });

  test("sends a body as JSON", async () => {
    expect(await enqueued(`net.http_delete('http://h/', body := '{"key": "val"}')`)).toMatchObject({
      body: '{"key": "val"}',
      headers: JSON_TYPE,
    });
  });
});

describe("the methods that pg_net does not have", () => {
  test.each(["PUT", "PATCH"])("net.http_%s sends JSON", async (method) => {
    const call = `net.http_${method.toLowerCase()}('http://h/', '{"a": 1}', '{"p": "q"}', '{"X": "y"}', 9)`;
    expect(await enqueued(call)).toEqual({
      method,
      url: "http://h/?p=q",
      headers: { X: "y", ...JSON_TYPE },
      body: '{"a": 1}',
      timeout_milliseconds: 9,
    });
  });

  test("net.http_head is like net.http_get", async () => {
    expect(await enqueued(`net.http_head('http://h/', '{"p": "q"}', '{"X": "y"}', 9)`)).toEqual({
      method: "HEAD",
      url: "http://h/?p=q",
      headers: { X: "y" },
      body: null,
      timeout_milliseconds: 9,
    });
  });
});

describe("bad arguments", () => {
  test.each([
    "http_get(null)",
    "http_post(null, '{}')",
    "http_delete(null)",
    "http_put(null)",
    "http_request('GET', null)",
  ])("net.%s says which column is missing, and shows no other", async (call) => {
    const failure = db.query(`select net.${call}`);
    await expect(failure).rejects.toMatchObject({ code: "23502", column: "url", table: "http_request_queue" });
    await expect(failure).rejects.toThrow('null value in column "url"');
    await expect(failure).rejects.not.toHaveProperty("detail", expect.anything());
  });

  test.each([
    ["timeout_milliseconds := -1", "22023", "timeout_milliseconds must not be negative, got -1"],
    [
      "timeout_milliseconds := null",
      "23502",
      'null value in column "timeout_milliseconds" of relation "http_request_queue" violates not-null constraint',
    ],
    ["headers := '[1]'", "22023", "headers must be a JSON object, not a JSON array"],
    ["headers := 'null'", "22023", "headers must be a JSON object, not a JSON null"],
    ["params := '\"a=b\"'", "22023", "params must be a JSON object, not a JSON string"],
  ])("%s", async (argument, code, message) => {
    for (const name of ["http_get", "http_post", "http_delete", "http_put", "http_head"]) {
      const failure = db.query(`select net.${name}('http://h/', ${argument})`);
      await expect(failure).rejects.toMatchObject({ code, message });
      await expect(failure).rejects.toHaveProperty("hint", expect.stringMatching(/\.$/));
    }
  });
});

describe("a direct insert", () => {
  test("needs pg_net's columns only, the method in any case", async () => {
    await db.query(`insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
      values ('get', net._encode_url_with_params_array('http://h/', '{}'), '{}', 5000), ('Patch', 'http://h/', null, 1)`);
    expect(await db.query("select method::text, attempts, next_attempt_at from net.http_request_queue")).toEqual([
      { method: "get", attempts: 0, next_attempt_at: null },
      { method: "Patch", attempts: 0, next_attempt_at: null },
    ]);
  });

  test.each([
    ["'FOO', 'http://h/', 1", { code: "23514", constraint: "http_method_is_known" }],
    ["null, 'http://h/', 1", { code: "23502", column: "method" }],
    ["'GET', null, 1", { code: "23502", column: "url" }],
    ["'GET', 'http://h/', null", { code: "23502", column: "timeout_milliseconds" }],
  ])("refuses (%s)", async (values, error) => {
    await expect(
      db.query(`insert into net.http_request_queue (method, url, timeout_milliseconds) values (${values})`),
    ).rejects.toMatchObject(error);
  });
});
