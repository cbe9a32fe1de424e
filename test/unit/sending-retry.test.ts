import { describe, expect, it } from "vitest";
import { completionOf } from "../../src/sending/retry.ts";
import type { FailureCode, Outcome } from "../../src/http/outcome.ts";
import type { Request, RequestOptions } from "../../src/outbox/request.ts";

const TIMINGS = { totalMs: 1, dnsMs: 0, connectMs: 0, exchangeMs: 1 };

/** A request that was tried `attempts` times and may be tried four times. */
function request(attempts: number, options: Partial<RequestOptions> = {}): Request {
  return {
    id: 1n,
    method: "GET",
    url: "http://example.com/",
    headers: [],
    body: null,
    timeoutMs: 5_000,
    created: "2026-11-21 09:20:32+00",
    attempts,
    options: { maxAttempts: 4, retryFirstMs: 1_000, retryMaxMs: 60_000, maxRedirects: 5, keep: "all", ...options },
    bytes: 600,
  };
}

function answer(status: number, headers: readonly (readonly [string, string])[] = []): Outcome {
  return { kind: "answered", status, headers, contentType: null, content: Buffer.alloc(0), timings: TIMINGS };
}

function failure(code: FailureCode): Outcome {
  return { kind: "failed", code, message: code, maybeReceived: false, timings: TIMINGS };
}

/** The wait before the next try. */
function delayMs(attempts: number, outcome: Outcome, chance: number, options: Partial<RequestOptions> = {}): number {
  const completion = completionOf(request(attempts, options), outcome, chance);
  if (completion.kind !== "deferred") throw new Error(`it ended as ${completion.kind}`);
  return completion.delayMs;
}

const TRANSIENT: readonly Outcome[] = [
  ...[408, 425, 429, 500, 502, 503, 504].map((status) => answer(status)),
  ...(["timeout", "dns", "connect", "tls", "empty_reply", "bad_reply"] as const).map(failure),
];
const FINAL: readonly Outcome[] = [
  ...[200, 204, 301, 400, 401, 404, 410, 422, 501].map((status) => answer(status)),
  ...(["refused_address", "bad_request", "too_large", "redirects"] as const).map(failure),
];

function nameOf(outcome: Outcome): string {
  return outcome.kind === "answered" ? String(outcome.status) : outcome.code;
}

describe.each(TRANSIENT.map((outcome) => [nameOf(outcome), outcome] as const))("P2: %s", (_, outcome) => {
  it("is the answer where nobody asked for a second try", () => {
    expect(completionOf(request(0, { maxAttempts: 1 }), outcome, 0)).toMatchObject({ kind: "answered", outcome });
  });

  it("is tried again, and a dead letter after the last try", () => {
    const kinds = [0, 1, 2, 3].map((attempts) => completionOf(request(attempts), outcome, 0).kind);
    expect(kinds).toEqual(["deferred", "deferred", "deferred", "dead"]);
  });
});

it.each(FINAL.map((outcome) => [nameOf(outcome), outcome] as const))(
  "P2: %s is the answer, however many tries are left",
  (_, outcome) => {
    expect(completionOf(request(0), outcome, 0)).toMatchObject({ kind: "answered", outcome });
  },
);

describe("the wait before another try", () => {
  it("doubles from try to try up to its bound, half of it at random", () => {
    const options = { maxAttempts: 10, retryMaxMs: 5_000 };
    const waits = (chance: number): number[] =>
      [0, 1, 2, 3, 4].map((attempts) => delayMs(attempts, answer(503), chance, options));
    expect(waits(0)).toEqual([500, 1_000, 2_000, 2_500, 2_500]);
    expect(waits(0.999_999)).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  it.each([
    ["30", 30_000],
    ["0", 1_000],
    ["3600", 60_000],
    ["-1", 1_000],
    ["soon", 1_000],
    ["in 30", 1_000],
    ["30 s", 1_000],
    ["9999999999", 1_000],
  ])("is at least what Retry-After: %s asks for, within the caller's bound: %d ms", (value, expected) => {
    expect(
      delayMs(
        0,
        answer(429, [
          ["server", "9"],
          ["retry-after", value],
        ]),
        0.999_999,
      ),
    ).toBe(expected);
    expect(delayMs(0, answer(503, [["Retry-After", value]]), 0.999_999)).toBe(expected);
  });
});
