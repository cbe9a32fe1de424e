import { describe, expect, test } from "vitest";

import type { Answered, Failed, FailureCode, Timings } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { rowOf, unstorableRow } from "../../src/results/row.ts";

const timings: Timings = { totalMs: 12.5, dnsMs: 1, connectMs: 2.5, exchangeMs: 9 };

function request(keep: "all" | "headers" | "status" = "all"): Request {
  const options = { maxAttempts: 1, retryFirstMs: 1, retryMaxMs: 1, maxRedirects: 5, keep };
  return {
    id: 7n,
    method: "GET",
    url: "http://a/",
    headers: [],
    body: null,
    timeoutMs: 1,
    created: "2026-11-21 09:20:32+00",
    attempts: 2,
    options,
    bytes: 1,
  };
}

function answered(part: Partial<Answered> = {}): Answered {
  const headers = [["Content-Type", "text/plain"]] as const;
  return {
    kind: "answered",
    status: 200,
    headers,
    contentType: "text/plain",
    content: Buffer.from("hello"),
    timings,
    ...part,
  };
}

function failed(code: FailureCode, message: string): Failed {
  return { kind: "failed", code, message, maybeReceived: false, timings };
}

const common = { id: 7n, attempts: 3, totalMs: 12.5, dnsMs: 1, connectMs: 2.5, exchangeMs: 9 };
const nothing = {
  statusCode: null,
  contentType: null,
  headers: null,
  content: null,
  timedOut: false,
  errorMsg: null,
  errorCode: null,
  responseHeaders: null,
  contentBytes: null,
};
const plain = { ...nothing, statusCode: 200, contentType: "text/plain", headers: '{"Content-Type":"text/plain"}' };

describe("the rows of an outcome", () => {
  test.each([
    ["an answer", request(), answered(), { ...plain, content: Buffer.from("hello") }],
    [
      "an HTTP error is an answer",
      request(),
      answered({ status: 503 }),
      { ...plain, statusCode: 503, content: Buffer.from("hello") },
    ],
    ["an empty content is null", request(), answered({ content: Buffer.alloc(0) }), plain],
    ["keep headers", request("headers"), answered({ content: Buffer.from([0xff]) }), plain],
    ["keep status", request("status"), answered({ content: Buffer.from([0xff]) }), { ...nothing, statusCode: 200 }],
    [
      "NUL in the content",
      request(),
      answered({ content: Buffer.from("a\0b") }),
      { ...plain, content: Buffer.from("a\uFFFDb"), contentBytes: Buffer.from("a\0b") },
    ],
    [
      "content that is no UTF-8",
      request(),
      answered({ content: Buffer.from([0x61, 0xff]) }),
      { ...plain, content: Buffer.from("a\uFFFD"), contentBytes: Buffer.from([0x61, 0xff]) },
    ],
    [
      "content that is no text",
      request(),
      answered({ content: Buffer.alloc(2_000) }),
      { ...plain, contentBytes: Buffer.alloc(2_000) },
    ],
    [
      "a timeout",
      request(),
      failed("timeout", "Timeout of 1 ms reached"),
      { ...nothing, timedOut: true, errorMsg: "Timeout of 1 ms reached", errorCode: "timeout" },
    ],
    [
      "another failure",
      request(),
      failed("connect", "Couldn't connect to server"),
      { ...nothing, errorMsg: "Couldn't connect to server", errorCode: "connect" },
    ],
    [
      "a failure keeps its message whatever is kept",
      request("status"),
      failed("dns", "no\0host"),
      { ...nothing, errorMsg: "no\uFFFDhost", errorCode: "dns" },
    ],
  ])("%s", (_, of, outcome, expected) => {
    expect(rowOf(of, outcome)).toEqual({ ...common, ...expected });
  });

  test("of repeated headers the last stands, and the detail has them all", () => {
    const headers = [
      ["Set-Cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["Set-Cookie", "c=3"],
      ["__proto__", "odd"],
    ] as const;
    const row = rowOf(request(), answered({ headers }));
    expect(row.headers).toBe('{"Set-Cookie":"c=3","set-cookie":"b=2","__proto__":"odd"}');
    expect(row.responseHeaders).toBe(JSON.stringify(headers));
  });

  test.each([
    ["a\0b", "a\uFFFDb"],
    ["\0\0", "\uFFFD\uFFFD"],
    ["\\\0", "\\\uFFFD"],
    ["\uD800x\uDFFF", "\uFFFDx\uFFFD"],
    ["\\u0000 spelled out", "\\u0000 spelled out"],
    ["\\\\u0000\\ud800", "\\\\u0000\\ud800"],
    ["\u{1F600}\u0001\u001f", "\u{1F600}\u0001\u001f"],
  ])("what jsonb cannot hold is replaced in header values: %j", (value, stored) => {
    expect(JSON.parse(rowOf(request(), answered({ headers: [["X", value]] })).headers ?? "")).toEqual({ X: stored });
  });

  test("what the database refused is reported in its place", () => {
    expect(unstorableRow(request(), answered(), "too long")).toEqual({
      ...common,
      ...nothing,
      errorMsg: "The answer (status 200) could not be stored: too long",
      errorCode: "unstorable",
    });
    expect(unstorableRow(request(), failed("dns", "x"), "no").errorMsg).toBe("The failure could not be stored: no");
  });
});
