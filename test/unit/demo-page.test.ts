import { describe, expect, test } from "vitest";
import { formatRows } from "../../demo/page.ts";
import { describeArrival } from "../../src/cli/receiver.ts";

describe("the demo's table", () => {
  test("aligns columns, numbers to the right, and leaves null empty", () => {
    const rows = [
      { id: "1", status_code: 200, error_msg: null },
      { id: "12", status_code: null, error_msg: "Timeout of 500 ms reached" },
    ];
    expect(formatRows(rows).split("\n")).toEqual([
      "id  status_code  error_msg",
      "──  ───────────  ─────────────────────────",
      " 1          200",
      "12               Timeout of 500 ms reached",
    ]);
  });
});

describe("a line of the receiver", () => {
  const arrival = { at: new Date("2026-01-02T03:04:05.678Z"), method: "POST", path: "/x?y=1", headers: {} };

  test("has time, method, path and body", () => {
    expect(describeArrival({ ...arrival, body: '{"a": 1}' })).toBe('03:04:05.678  POST /x?y=1  {"a": 1}');
    expect(describeArrival({ ...arrival, body: "" })).toBe("03:04:05.678  POST /x?y=1");
  });

  test("shows control characters rather than sending them to the terminal", () => {
    expect(describeArrival({ ...arrival, body: "a\n\u001b[31mb\u009b" })).toMatch(/ {2}a\\u000a\\u001b\[31mb\\u009b$/);
  });

  test("is cut where the body is long", () => {
    expect(describeArrival({ ...arrival, body: "x".repeat(5_000) })).toMatch(/ x{1000}…$/);
  });
});
