import { expect, test, vi } from "vitest";
import { openTracing } from "../../src/tracing/tracing.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { requestOf } from "../support/http-peer.ts";
import { emptied } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentLog } from "../support/silent-log.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const SAMPLED = `00-${TRACE}-${PARENT}-01`;

const TIMINGS = { totalMs: 1, dnsMs: 0, connectMs: 0, exchangeMs: 1 };

const GET = "select net.http_get($1, headers := jsonb_build_object('traceparent', $2::text))";

test("a try is a client span, child of the caller's, by header and by setting, and the destination is told of it", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using collector = await startReceiver();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url(""), OTEL_SERVICE_NAME: "the-shop" };
  await using daemon = await startDaemon({ databaseUrl: db.url, env });
  await db.query(GET, [receiver.url("/by-header?token=hush"), SAMPLED]);
  const client = await db.pool.connect();
  await client.query("begin");
  await client.query("select set_config('pgnetd.traceparent', $1, true)", [SAMPLED]);
  await client.query("select net.http_get($1)", [receiver.url("/by-setting")]);
  await client.query("commit");
  client.release();
  await db.query(GET, [receiver.url("/not-sampled"), `00-${TRACE}-${PARENT}-00`]);
  await db.query("select net.http_get($1)", [receiver.url("/root")]);
  await emptied(db);
  const sent = new Map(
    receiver.requests.map(({ path, headers }) => [path.split("?")[0], String(headers["traceparent"])]),
  );
  const spanOf = (path: string): Buffer => Buffer.from(sent.get(path)?.split("-")[2] ?? "", "hex");
  for (const path of ["/by-header", "/by-setting"]) {
    expect(sent.get(path)).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(sent.get(path)).not.toBe(SAMPLED);
  }
  expect(sent.get("/not-sampled")).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  expect(sent.get("/root")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);

  // Protocol buffers hold ids and text as they are.
  await daemon.stop();
  const exported = Buffer.concat(collector.requests.map(({ body }) => body));
  expect(new Set(collector.requests.map(({ path }) => path))).toEqual(new Set(["/v1/traces"]));
  for (const path of ["/by-header", "/by-setting", "/root"]) expect(exported.includes(spanOf(path))).toBe(true);
  expect(exported.includes(Buffer.from(TRACE, "hex"))).toBe(true);
  expect(exported.includes(Buffer.from(PARENT, "hex"))).toBe(true);
  for (const text of ["the-shop", "url.full", "/by-header?***", "http.response.status_code", "server.address"]) {
    expect([text, exported.includes(text)]).toEqual([text, true]);
  }
  expect(exported.includes("/not-sampled")).toBe(false);
  expect(exported.includes("hush")).toBe(false);
});

test("the end waits until the last spans are exported, so that the process may exit then", async () => {
  await using collector = await startReceiver();
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""));
  try {
    const tracing = await openTracing(process.env, "1", silentLog);
    const request = requestOf("http://the-shop.test/");
    tracing
      ?.begin(request)
      .end({ kind: "failed", code: "connect", message: "", maybeReceived: false, timings: TIMINGS });
    await tracing?.[Symbol.asyncDispose]();
    expect(collector.requests.map(({ path, body }) => [path, body.includes("the-shop.test")])).toEqual([
      ["/v1/traces", true],
    ]);
  } finally {
    vi.unstubAllEnvs();
  }
});

test("a collector that does not answer delays neither requests nor the end", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using collector = await startReceiver();
  collector.behave({ kind: "hang" });
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url("") };
  await using daemon = await startDaemon({ databaseUrl: db.url, env });
  await db.query("select net.http_get($1)", [receiver.url()]);
  await emptied(db);
  expect((await daemon.stop()).code).toBe(0);
  await eventually(() => collector.requests.length > 0);
});

test("a collector that refuses spans is named in the log once, and delays nothing", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using collector = await startReceiver();
  collector.behave({ kind: "answer", status: 400 });
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url(""), OTEL_BSP_SCHEDULE_DELAY: "50" };
  await using daemon = await startDaemon({ databaseUrl: db.url, env });
  for (let exported = 1; exported <= 2; exported++) {
    await db.query("select net.http_get($1)", [receiver.url()]);
    await eventually(() => collector.requests.length >= exported);
  }
  const reported = (): number => daemon.log().split("spans cannot be exported").length - 1;
  await eventually(() => reported() > 0);
  await emptied(db);
  await daemon.stop();
  expect(reported()).toBe(1);
});

test("without an endpoint a caller's traceparent is sent as it is", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startDaemon({ databaseUrl: db.url });
  await db.query(GET, [receiver.url("/"), SAMPLED]);
  await emptied(db);
  expect(receiver.requests[0]?.headers["traceparent"]).toBe(SAMPLED);
});
