import { expect, test } from "vitest";
import { readRow } from "../../src/outbox/row.ts";
import type { FailureCode, Outcome } from "../../src/http/outcome.ts";
import { failureOf, unsent } from "../../src/sending/outcomes.ts";

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

const ROW = {
  id: "7",
  method: "GET",
  url: "http://a/",
  headers: null,
  body: null,
  timeout_milliseconds: 5_000,
  created: "2026-11-21 09:20:32.115484+00",
};

function endOf(columns: Readonly<Record<string, unknown>>, ...installationMarks: readonly number[]): unknown {
  const ended = unsent(readRow({ ...ROW, ...columns }, { maxRedirects: 5, installationMarks }));
  return ended === null ? null : [ended.kind, ended.outcome];
}

test("a row that cannot be sent is answered without having been received by anybody", () => {
  const outcome = {
    kind: "failed",
    code: "bad_request",
    message: "The row in net.http_request_queue cannot be sent: headers: must be a JSON object of names and values",
    detail: null,
    maybeReceived: false,
    timings,
  };
  expect(endOf({ headers: "[]" })).toEqual(["answered", outcome]);
});

test("a request of another installation is a dead letter, whatever else is in it; one without a mark is sent", () => {
  const dead = ["dead", expect.objectContaining({ kind: "failed", code: "other_installation", maybeReceived: false })];
  expect(endOf({ installation_mark: 1 }, 2)).toEqual(dead);
  expect(endOf({ installation_mark: 1, headers: "[]" }, 2)).toEqual(dead);
  expect(endOf({ installation_mark: 2 }, 2)).toBeNull();
  expect(endOf({ installation_mark: null }, 2)).toBeNull();
  expect(endOf({}, 2)).toBeNull();
  expect(endOf({ installation_mark: 1 }, 2, 1)).toBeNull();
});
