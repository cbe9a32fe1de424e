import { expect, test } from "vitest";
import { idempotencyKey } from "../../src/http/idempotency.ts";
import { requestOf } from "../support/http-peer.ts";

test.for(["POST", "PUT", "PATCH", "DELETE"])("P3: a %s is marked, with its installation and its id", (method) => {
  expect(idempotencyKey("made-1", requestOf("http://a/", { method, id: 7n }))).toBe("made-1-7");
});

test.for(["GET", "HEAD", "OPTIONS", "TRACE"])("a %s is not marked", (method) => {
  expect(idempotencyKey("made-1", requestOf("http://a/", { method, id: 7n }))).toBeNull();
});
