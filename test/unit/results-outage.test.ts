import { expect, test } from "vitest";

import { Outage } from "../../src/results/outage.ts";
import { rowFault, writeFailure } from "../../src/results/write-failure.ts";

function outageWithLines() {
  const lines: string[] = [];
  const time = { now: 0 };
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>) => {
    lines.push(`${level} ${JSON.stringify(fields)}`);
  };
  const log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  const clock = { now: () => time.now, sleep: () => Promise.resolve() };
  return { outage: new Outage({ log, clock }), lines, time };
}

const failure = (code: string) => writeFailure(Object.assign(new Error(`message of ${code}`), { code }));

test("an outage is said once for each code, and its end once", () => {
  const { outage, lines, time } = outageWithLines();
  outage.succeeded("answered", 0);
  expect([outage.lasts, outage.reason]).toEqual([false, null]);
  const waits = ["53100", "53100", "ECONNREFUSED", "53100", "53100", "53100", "53100", "53100", "53100"].map((code) => {
    time.now += 1_000;
    return outage.failed("answered", failure(code));
  });
  expect(waits).toEqual([50, 100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]);
  expect([outage.lasts, outage.reason]).toEqual([true, expect.stringContaining("disk of the database is full")]);
  time.now = 12_345;
  outage.succeeded("answered", 12_000);
  outage.succeeded("answered", 12_000);
  expect(outage.lasts).toBe(false);
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["error", "error", "info"]);
  expect(lines[0]).toContain("disk of the database is full");
  expect(lines[2]).toContain('"durationMs":11345');
  expect(outage.failed("answered", failure("53100"))).toBe(50);
  expect(lines).toHaveLength(4);
});

test("an outage lasts until each kind of completion that failed is written, by a write begun after the failure", () => {
  const { outage, lines, time } = outageWithLines();
  time.now = 100;
  outage.failed("answered", failure("42501"));
  outage.succeeded("deferred", 200);
  outage.succeeded("answered", 99);
  expect(outage.lasts).toBe(true);
  outage.failed("deferred", failure("42501"));
  outage.succeeded("answered", 200);
  expect(outage.lasts).toBe(true);
  outage.succeeded("deferred", 200);
  expect(outage.lasts).toBe(false);
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["error", "info"]);
});

test("P11 refused rows are counted, said at most once a minute, and never quoted", () => {
  const { outage, lines, time } = outageWithLines();
  for (time.now = 0; time.now < 120_000; time.now += 1_000) outage.refused(failure("23514"));
  expect(lines).toHaveLength(2);
  expect(lines[0]).toContain('"rows":1,');
  expect(lines[1]).toContain('"rows":60,');
  expect(lines.join("")).not.toContain("message of");
});

test.each([
  ["22P05", true],
  ["22021", true],
  ["23514", true],
  ["54000", true],
  ["P0001", true],
  ["53100", false],
  ["25006", false],
  ["42501", false],
  ["40001", false],
  ["57P01", false],
  ["08006", false],
  ["ECONNREFUSED", false],
])("%s: the fault lies in a row: %s", (code, dataFault) => {
  expect(failure(code)).toMatchObject({ code, dataFault });
});

test("an error without a code, and one before anything was sent", () => {
  expect(writeFailure("odd")).toMatchObject({ code: "unknown", message: "odd", dataFault: false });
  expect(rowFault(new RangeError("too long"))).toMatchObject({ message: "too long", dataFault: true });
});

test("deadlocks are counted, said at most once a minute, and are no outage", () => {
  const { outage, lines, time } = outageWithLines();
  for (time.now = 0; time.now < 120_000; time.now += 1_000) outage.deadlocked();
  expect(lines).toEqual(['info {"times":1}', 'info {"times":60}']);
  expect(outage.lasts).toBe(false);
});
