import { expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/** The headers of a request that `call` makes in a session with `setting`. */
async function headersOf(db: TestDatabase, setting: string | null, call: string): Promise<unknown> {
  const client = await db.pool.connect();
  try {
    await client.query("begin");
    if (setting !== null) await client.query("select set_config('pgnetd.traceparent', $1, true)", [setting]);
    await client.query(call);
    const { rows } = await client.query<{ headers: unknown }>("select headers from net.http_request_queue");
    return rows[0]?.headers;
  } finally {
    await client.query("rollback");
    client.release();
  }
}

const CALLS = [
  "select net.http_get('http://a/')",
  "select net.http_delete('http://a/')",
  "select net.http_request('GET', 'http://a/')",
  "select net.http_put('http://a/', body := '{}')",
  "select net.http_request('GET', 'http://a/', deduplication_key := 'k')",
];

test.for(CALLS)("the session's pgnetd.traceparent is a header of the request: %s", async (call) => {
  await using db = await testDatabase();
  expect(await headersOf(db, TRACE, call)).toMatchObject({ traceparent: TRACE });
});

const POST = (headers: string): string => `select net.http_post('http://a/', headers := '${headers}')`;

test("a request's own header wins, in whatever case, and other headers stay", async () => {
  await using db = await testDatabase();
  const type = { "Content-Type": "application/json" };
  expect(await headersOf(db, TRACE, POST('{"X-A": "1"}'))).toEqual({ ...type, "X-A": "1", traceparent: TRACE });
  expect(await headersOf(db, TRACE, POST('{"Traceparent": "own"}'))).toEqual({ ...type, Traceparent: "own" });
});

test("P9: what is no traceparent is passed over, and a session without one adds nothing", async () => {
  await using db = await testDatabase();
  const plain = await headersOf(db, null, POST("{}"));
  expect(plain).toEqual({ "Content-Type": "application/json" });
  for (const setting of ["", "x", `${TRACE}\r\nX-Evil: 1`, TRACE.toUpperCase(), `${TRACE} `]) {
    expect(await headersOf(db, setting, POST("{}"))).toEqual(plain);
  }
  expect(await headersOf(db, null, POST("{}"))).toEqual(plain);
});
