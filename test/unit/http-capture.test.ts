import { expect, test } from "vitest";
import { openCaptureClient } from "../../src/http/capture.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import { type RequestParts, requestOf } from "../support/http-peer.ts";

const client = openCaptureClient({ userAgent: "agent/1", maxResponseBytes: 1_000 });

async function captured(url: string, parts: RequestParts = {}): Promise<Outcome> {
  return client.send(requestOf(url, parts), { idempotencyKey: "key-1" });
}

async function contentOf(url: string, parts?: RequestParts): Promise<unknown> {
  const outcome = await captured(url, parts);
  if (outcome.kind === "failed") throw new Error(outcome.message);
  return JSON.parse(outcome.content.toString());
}

test("a request is answered with itself as it would have been sent, also to a name that there is not", async () => {
  const parts: RequestParts = {
    method: "POST",
    headers: [
      ["Content-Type", "application/json"],
      ["X-Name", "Ünïcode €"],
      ["X-Left-Out", ""],
    ],
    body: Buffer.from('{"a": "ü"}'),
  };
  expect(await captured("http://user:p%40ss@no-such-host.invalid/a?b=c#d", parts)).toMatchObject({
    kind: "answered",
    status: 200,
    contentType: "application/json",
    headers: [
      ["Content-Type", "application/json"],
      ["X-Pgnetd-Mode", "capture"],
    ],
  });
  expect(await contentOf("http://user:p%40ss@no-such-host.invalid/a?b=c#d", parts)).toEqual({
    method: "POST",
    url: "http://no-such-host.invalid/a?b=c",
    headers: {
      "Content-Type": "application/json",
      "X-Name": "Ünïcode €",
      "User-Agent": "agent/1",
      Accept: "*/*",
      "Idempotency-Key": "key-1",
      Authorization: `Basic ${Buffer.from("user:p@ss").toString("base64")}`,
    },
    body: '{"a": "ü"}',
  });
});

test("a body is text where jsonb can hold it, else base64, null where none is sent, left out where it is too large", async () => {
  const bodyOf = async (method: string, body: Buffer | null): Promise<unknown> => {
    const {
      method: _,
      url: __,
      headers: ___,
      ...rest
    } = (await contentOf("http://h/", { method, body })) as object & Record<"method" | "url" | "headers", unknown>;
    return rest;
  };
  expect(await bodyOf("PUT", Buffer.from("€"))).toEqual({ body: "€" });
  expect(await bodyOf("PUT", Buffer.from([0xff, 0xfe]))).toEqual({ body: null, body_base64: "//4=" });
  expect(await bodyOf("PUT", Buffer.from([0x61, 0]))).toEqual({ body: null, body_base64: "YQA=" });
  expect(await bodyOf("PUT", null)).toEqual({ body: null });
  expect(await bodyOf("GET", Buffer.from("never sent"))).toEqual({ body: null });
  expect(await bodyOf("PUT", Buffer.alloc(2_000, 0x61))).toEqual({ body: null, body_omitted_bytes: 2_000 });
  // Fits as it is, but not with the rest of the record.
  expect(await bodyOf("PUT", Buffer.alloc(999, 0x61))).toEqual({ body: null, body_omitted_bytes: 999 });
});

test.for([
  ["ftp://h/", {}, "Unsupported protocol"],
  ["http://", {}, "URL using bad/illegal format or missing URL"],
  ["http://h/", { headers: [["a b", "c"]] }, 'invalid header name "a b"'],
  ["http://h/", { timeoutMs: -1 }, "timeout_milliseconds must not be negative, got -1"],
] as const)("what could not be sent fails as it does when sending: %s %j", async ([url, parts, message]) => {
  expect(await captured(url, parts)).toMatchObject({ kind: "failed", code: "bad_request", message });
});
