import { expect, it } from "vitest";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES, readRow } from "../../src/outbox/row.ts";

const DEFAULTS = { maxRedirects: 5 };

/** A row as the stream and the sweep give it. */
const ROW = {
  id: "9007199254740993",
  method: "get",
  url: "http://example.com/",
  headers: null,
  body: null,
  timeout_milliseconds: 5_000,
  created: "2026-11-21 09:20:32.115484+00",
  attempts: 0,
  next_attempt_at: null,
  options: null,
};

it("takes what a row leaves open from the defaults", () => {
  const { request, defect, nextAttemptAt } = readRow(ROW, DEFAULTS);
  expect({ defect, nextAttemptAt }).toEqual({ defect: null, nextAttemptAt: null });
  expect(request).toMatchObject({
    id: 9_007_199_254_740_993n,
    method: "GET",
    headers: [],
    options: { maxAttempts: 1, maxRedirects: 5, keep: "all" },
  });
});

it("sends no header without a value, and what is no string as JSON", () => {
  const headers = { "X-Text": "a", "X-Number": 7, "X-Flag": true, "X-List": [1], "X-None": null };
  expect(readRow({ ...ROW, headers }, DEFAULTS).request.headers).toEqual([
    ["X-Text", "a"],
    ["X-Number", "7"],
    ["X-Flag", "true"],
    ["X-List", "[1]"],
  ]);
});

it.each(["infinity", "-infinity", "2026-01-02 03:04:05.123456+00"])("a time is kept as it is written: %s", (time) => {
  const { defect, nextAttemptAt, request } = readRow({ ...ROW, next_attempt_at: time, created: time }, DEFAULTS);
  expect({ defect, nextAttemptAt, created: request.created }).toEqual({
    defect: null,
    nextAttemptAt: time,
    created: time,
  });
});

it.each([
  ["headers", ["a"]],
  ["headers", "a"],
  ["options", { max_attempts: 0 }],
  ["options", { keep: "nothing" }],
  ["next_attempt_at", 7],
])("a row whose %s are %j has a defect, and is a request all the same", (column, value) => {
  const { request, defect } = readRow({ ...ROW, [column]: value }, DEFAULTS);
  expect(defect).toContain(column);
  expect(request).toMatchObject({ id: 9_007_199_254_740_993n, method: "get", url: "http://example.com/" });
});

it("P2: headers nested deeper than can be written have a defect, and stop nobody", () => {
  const headers = JSON.parse(`{"X-Deep":${"[".repeat(100_000)}${"]".repeat(100_000)}}`) as unknown;
  const { request, defect } = readRow({ ...ROW, headers }, DEFAULTS);
  expect(defect).toBe("its headers are nested too deeply");
  expect(request.headers).toEqual([]);
});

it.each([
  ["body", { body: Buffer.alloc(LARGEST_BYTES) }],
  ["url", { url: `http://example.com/${"a".repeat(LARGEST_BYTES)}` }],
  ["headers", { headers: { "X-Large": "a".repeat(LARGEST_HEADERS_BYTES) } }],
])("P5: a row whose %s is too large has a defect, and is not held", (part, columns) => {
  const { request, defect } = readRow({ ...ROW, ...columns }, DEFAULTS);
  expect(defect).toMatch(new RegExp(`its .*${part}.* larger than \\d+ bytes`));
  expect(request).toMatchObject({ body: null, headers: [], bytes: 512 });
  expect(request.url.length).toBeLessThanOrEqual(1_000);
});

it("tries counted up to the end of PostgreSQL's integer leave room for one more", () => {
  expect(readRow({ ...ROW, attempts: 2_147_483_647 }, DEFAULTS).request.attempts).toBe(2_147_483_646);
});
