import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, test } from "vitest";
import { LONGEST_URL } from "../../src/base/url-start.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { endOf, nameOf, parentOf, startAttributes, traceparentOf } from "../../src/tracing/span.ts";
import { openTracing } from "../../src/tracing/tracing.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const TIMINGS = { totalMs: 1, dnsMs: 0, connectMs: 0, exchangeMs: 1 };

const request = (url: string, traceparent?: string, method = "GET", attempts = 0): Request =>
  requestOf(url, {
    id: 7n,
    method,
    headers: traceparent === undefined ? [] : [["TraceParent", traceparent]],
    attempts,
    created: "2026-01-01 00:00:00+00",
  });

test.for([
  [`00-${TRACE}-${SPAN}-01`, 1],
  [` 00-${TRACE}-${SPAN}-00 `, 0],
  [`cc-${TRACE}-${SPAN}-03-what-will-come`, 3],
] as const)("the parent of %s is read, in whatever case its header is written", ([value, traceFlags]) => {
  expect(parentOf(request("http://a/", value))).toEqual({ traceId: TRACE, spanId: SPAN, traceFlags });
});

test.for([
  undefined,
  "",
  "00",
  `ff-${TRACE}-${SPAN}-01`,
  `00-${"0".repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${"0".repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01x`,
])("there is no parent in %s", (value) => {
  expect(parentOf(request("http://a/", value))).toBeNull();
});

it("writes the header for a span", () => {
  expect(traceparentOf({ traceId: TRACE, spanId: SPAN, traceFlags: 1 })).toBe(`00-${TRACE}-${SPAN}-01`);
});

it("P5: has only the start of a long url", () => {
  const url = `https://a.example/${"x".repeat(100_000)}`;
  expect(startAttributes(request(url))["url.full"]).toBe(url.slice(0, LONGEST_URL));
});

it("P11: shows no user, password or query of a url", () => {
  const { "url.full": shown, ...rest } = startAttributes(
    request("https://me:secret@a.example/x?token=1#f", undefined, "POST", 2),
  );
  expect(shown).toBe("https://a.example/x?***");
  expect(rest).toEqual({
    "http.request.method": "POST",
    "server.address": "a.example",
    "server.port": 443,
    "http.request.resend_count": 2,
    "pgnetd.request.id": "7",
    "pgnetd.request.created": "2026-01-01 00:00:00+00",
  });
});

it("two requests with the same id are told apart by when they were made", () => {
  const [first, second] = ["2026-01-01 00:00:00+00", "2026-01-02 00:00:00+00"].map((created) =>
    startAttributes({ ...request("http://a/"), created }),
  );
  expect(first).not.toEqual(second);
});

it("a method that nobody knows is in no name, and a url that cannot be read in no attribute", () => {
  const odd = request("::", undefined, "BREW");
  expect(nameOf(odd)).toBe("HTTP");
  expect(startAttributes(odd)).toMatchObject({ "http.request.method": "_OTHER", "pgnetd.request.id": "7" });
  expect(startAttributes(odd)).not.toHaveProperty("url.full");
});

test.for([
  [200, { "http.response.status_code": 200 }, null],
  [404, { "http.response.status_code": 404, "error.type": "404" }, ""],
] as const)("an answer of %s ends a span as a client's", ([status, attributes, error]) => {
  const outcome: Outcome = {
    kind: "answered",
    status,
    headers: [],
    contentType: null,
    content: Buffer.alloc(0),
    timings: TIMINGS,
  };
  expect(endOf(outcome)).toEqual({ attributes, error });
});

it("a failure ends a span with its code", () => {
  const outcome: Outcome = { kind: "failed", code: "timeout", message: "late", maybeReceived: true, timings: TIMINGS };
  expect(endOf(outcome)).toEqual({ attributes: { "error.type": "timeout" }, error: "late" });
});

it("OpenTelemetry's SDK is imported by one file, and that by a dynamic import alone", () => {
  const src = join(import.meta.dirname, "../../src");
  const sources = globSync("**/*.ts", { cwd: src }).map(
    (file) => [file, readFileSync(join(src, file), "utf8")] as const,
  );
  expect(sources.filter(([, text]) => text.includes("@opentelemetry/")).map(([file]) => file)).toEqual([
    join("tracing", "otlp.ts"),
  ]);
  const importing = sources.filter(([, text]) => /["/]otlp\.ts"/.test(text)).map(([, text]) => text);
  expect(importing.length).toBe(1);
  expect(importing[0]).toMatch(/await import\("\.\/otlp\.ts"\)/);
});

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://x/" };

it.for([
  {},
  { OTEL_EXPORTER_OTLP_ENDPOINT: "" },
  { ...ENDPOINT, OTEL_SDK_DISABLED: "true" },
  { ...ENDPOINT, OTEL_TRACES_EXPORTER: "none" },
])("with %j there is no tracing", async (env) => {
  expect(await openTracing(env, "1", silentLog)).toBeNull();
});
