import { expect, test } from "vitest";
import type { Answered, Failed } from "../../src/http/outcome.ts";
import type { Completion } from "../../src/results/completion.ts";
import { keptOf, sizeOf } from "../../src/results/kept.ts";
import { requestOf } from "../support/http-peer.ts";

const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
const headers = [["X-One", "1"]] as const;
const ANSWER: Answered = {
  kind: "answered",
  status: 200,
  headers,
  contentType: null,
  content: Buffer.from("hello"),
  timings,
};
const FAILURE: Failed = { kind: "failed", code: "dns", message: "", maybeReceived: false, timings };

function completion(
  kind: "answered" | "dead",
  keep: "all" | "headers" | "status",
  outcome: Answered | Failed,
): Completion {
  const plain = requestOf("http://a/");
  return { kind, request: { ...plain, options: { ...plain.options, keep } }, outcome };
}

test("P5: content is held where it is stored, and nowhere else", () => {
  const contents = [
    completion("answered", "all", ANSWER),
    completion("answered", "headers", ANSWER),
    completion("answered", "status", ANSWER),
    completion("dead", "all", ANSWER),
  ].map((one) => {
    const { outcome } = keptOf(one);
    return outcome?.kind === "answered" ? outcome.content.toString() : null;
  });
  expect(contents).toEqual(["hello", "", "", ""]);
});

test("what has no content is held as it is", () => {
  const failed = completion("dead", "all", FAILURE);
  const empty = completion("dead", "all", { ...ANSWER, content: Buffer.alloc(0) });
  const deferred: Completion = { kind: "deferred", request: requestOf("http://a/"), outcome: null, delayMs: 1 };
  for (const one of [failed, empty, deferred]) expect(keptOf(one)).toBe(one);
});

test("P5: an answer takes its content and its headers beside what any completion takes", () => {
  const bare = sizeOf(completion("answered", "all", { ...ANSWER, headers: [], content: Buffer.alloc(0) }));
  expect(sizeOf(completion("answered", "all", FAILURE))).toBe(bare);
  expect(sizeOf(completion("answered", "all", { ...ANSWER, headers: [] }))).toBe(bare + 5);
  expect(sizeOf(completion("answered", "all", ANSWER))).toBeGreaterThan(bare + 5);
});
