import fc from "fast-check";
import { headersJson, optionsJson } from "./fuzz-json.ts";
import type { Lab } from "./fuzz-lab.ts";
import { type FuzzRow, SECRET, mostly } from "./fuzz-row.ts";
import { anyUrl } from "./fuzz-url.ts";

const CREATED = [
  ["infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "0001-12-31 23:59:59.999999+00 BC", "0001-01-01 00:00:00+00"],
  [
    "294276-12-31 23:59:59.999999+00",
    "1970-01-01 00:00:00+00",
    "2000-01-01 00:00:00.000001+00",
    "2026-11-21 09:20:32.5+15:59",
  ],
].flat();

/** Times to come are far from now: a batch is over when nothing waits for a time that is near. */
const DUE = [
  ["-infinity", "4713-01-01 00:00:00+00 BC", "2000-01-01 00:00:00+00"],
  ["infinity", "294276-12-31 23:59:59+00", "9999-01-01 00:00:00+00"],
].flat();

const INT8 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const IDS = [
  [INT8.min, INT8.min + 1n, INT8.max - 1n, INT8.max],
  [-1n, 0n, 2n ** 31n, 2n ** 32n + 5n, 2n ** 53n + 1n, -(2n ** 53n) - 1n],
].flat();

const INT4 = { min: -(2 ** 31), max: 2 ** 31 - 1 };

/** A row with any value in every column; where a url names anything, it is something in `lab`. */
export function anyRow(lab: Lab): fc.Arbitrary<FuzzRow> {
  return fc.record({
    id: mostly<string | null>([60, fc.constant(null)], [1, fc.constantFrom(...IDS.map(String))]),
    method: mostly(
      [8, fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")],
      [1, fc.constantFrom("get", "pOsT", "head")],
    ),
    url: anyUrl(`http://127.0.0.1:${lab.target.port}`, lab.canary.port),
    headers: headersJson,
    body: anyBody,
    timeoutMs: mostly([12, fc.constant(2_000)], [4, fc.constantFrom(0, 1, 50, -1, INT4.min, INT4.max)]),
    created: mostly<string | null>([6, fc.constant(null)], [1, fc.constantFrom(...CREATED)]),
    nextAttemptAt: mostly<string | null>([8, fc.constant(null)], [1, fc.constantFrom(...DUE)]),
    attempts: mostly(
      [10, fc.constant(0)],
      [1, fc.constantFrom(1, 2, 3, 999, 1_000, -1, -2, INT4.min, INT4.max - 1, INT4.max)],
    ),
    deduplicationKey: mostly<string | null>(
      [9, fc.constant(null)],
      [1, fc.uuid()],
      [0.5, fc.uuid().map((key) => `${key}${"k".repeat(500)}'"\\ é`)],
    ),
    options: optionsJson,
  });
}

const anyBody = mostly<Buffer | null>(
  [4, fc.constant(null)],
  [3, fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))],
  [2, fc.string({ maxLength: 40 }).map((text) => Buffer.from(SECRET + text))],
  [0.02, fc.integer({ min: 1, max: 20 }).map((times) => Buffer.alloc(times * 50_000, SECRET))],
);
