import { expect, test } from "vitest";
import type { FailureCode, Outcome } from "../../src/http/outcome.ts";
import { defective, failureOf } from "../../src/sending/outcomes.ts";

const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };

function answered(status: number): Outcome {
  return { kind: "answered", status, headers: [], contentType: null, content: Buffer.alloc(0), timings };
}

function failed(code: FailureCode): Outcome {
  return { kind: "failed", code, message: "", maybeReceived: true, timings };
}

test("the last failure of a host is what failed, or a status of 500 or more; what this daemon broke off is none", () => {
  const failures = [failed("timeout"), failed("aborted"), answered(200), answered(499), answered(500), answered(503)];
  expect(failures.map(failureOf)).toEqual(["timeout", null, null, null, "500", "503"]);
});

test("a row that cannot be sent fails without having been received by anybody", () => {
  expect(defective("url: no")).toEqual({
    kind: "failed",
    code: "bad_request",
    message: "The row in net.http_request_queue cannot be sent: url: no",
    detail: null,
    maybeReceived: false,
    timings,
  });
});
