import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("a committed call is sent, and its answer is in net._http_response", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  receiver.behave({
    kind: "answer",
    status: 201,
    headers: { "Content-Type": "text/plain", "X-One": "1" },
    body: "made",
  });

  const [call] = await db.query<{ id: string }>(
    `select net.http_post($1, body := '{"a": 1}', headers := '{"X-Custom": "yes"}') as id`,
    [receiver.url("/orders?x=1")],
  );
  const [response] = await eventually(async () => {
    const rows = await db.query("select * from net._http_response where id = $1", [call?.id]);
    return rows.length > 0 && rows;
  });

  expect(response).toMatchObject({
    status_code: 201,
    content_type: "text/plain",
    content: "made",
    timed_out: false,
    error_msg: null,
  });
  expect(receiver.requests).toHaveLength(1);
  const [request] = receiver.requests;
  expect(request).toMatchObject({ method: "POST", path: "/orders?x=1" });
  expect(request?.headers).toMatchObject({ "x-custom": "yes", "content-type": "application/json" });
  expect(JSON.parse(String(request?.body))).toEqual({ a: 1 });
  expect(await db.query("select from net.http_request_queue")).toEqual([]);
});

test("P1: what is rolled back, a savepoint included, is never sent", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  const client = await db.pool.connect();
  try {
    await client.query("begin");
    await client.query("select net.http_get($1)", [receiver.url("/rolled-back")]);
    await client.query("rollback");
    await client.query("begin");
    await client.query("select net.http_get($1)", [receiver.url("/kept")]);
    await client.query("savepoint s");
    await client.query("select net.http_get($1)", [receiver.url("/savepoint")]);
    await client.query("rollback to s");
    await client.query("savepoint t");
    await client.query("select net.http_get($1)", [receiver.url("/released")]);
    await client.query("release t");
    await client.query("commit");
  } finally {
    client.release();
  }
  await db.query("select net.http_get($1)", [receiver.url("/last")]);
  await receiver.waitFor(3);
  await eventually(async () => (await db.query("select from net._http_response")).length === 3);
  expect([...receiver.countByPath().keys()].toSorted()).toEqual(["/kept", "/last", "/released"]);
});

test("rows left from before the start are sent, each once", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 500) g", [receiver.url("/?n=")]);
  await using _daemon = await startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "unlimited" });
  await eventually(async () => (await db.query("select from net._http_response")).length === 500);
  expect(receiver.requests).toHaveLength(500);
  expect(receiver.countByPath().size).toBe(500);
});

test("a graceful stop writes what is in flight and leaves the rest for the next start", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 300 });
  const daemon = await startInProcess(db.url, { PGNETD_HOST_CONCURRENCY: "10" });
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 40) g", [receiver.url("/?n=")]);
  await receiver.waitFor(5);
  await daemon.stop();
  const sent = receiver.requests.length;
  const [counts] = await db.query<{ answered: number; waiting: number }>(
    "select (select count(*) from net._http_response)::int answered, (select count(*) from net.http_request_queue)::int waiting",
  );
  expect(counts).toEqual({ answered: sent, waiting: 40 - sent });
  receiver.behave({ kind: "answer" });
  await using _again = await startInProcess(db.url);
  await eventually(async () => (await db.query("select from net._http_response")).length === 40);
  expect(receiver.requests).toHaveLength(40);
});
