import pg from "pg";
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

test("an error without a code, and one before anything was sent", () => {
  expect(writeFailure("odd")).toMatchObject({ code: "unknown", message: "odd", fault: "database" });
  expect(rowFault(new RangeError("too long"))).toMatchObject({ message: "too long", fault: "row" });
});

test("deadlocks are counted, said at most once a minute, and are no outage", () => {
  const { outage, lines, time } = outageWithLines();
  for (time.now = 0; time.now < 120_000; time.now += 1_000) outage.deadlocked();
  expect(lines).toEqual(['info {"times":1}', 'info {"times":60}']);
  expect(outage.lasts).toBe(false);
});

test.each([
  ["row", false, ["22P05", "22021", "23514", "44000", "54000", "P0001"]],
  [
    "either",
    false,
    ["42P01", "42703", "42883", "3F000", "PT409", "2F005", "38000", "39P01", "09000", "0A000", "XX000", "27000"],
  ],
  ["either", true, ["55P03", "55006", "57014", "40001", "40P01", "08001", "08006", "HV00N"]],
  [
    "database",
    false,
    ["42501", "53100", "53200", "25006", "57P01", "58030", "XX001", "XX002", "ECONNREFUSED", "42P05", "26000"],
  ],
] as const)("P6: the fault lies in '%s', and passes: %s, for %s", (fault, isPassing, codes) => {
  for (const code of codes) {
    const error = Object.assign(new pg.DatabaseError(`message of ${code}`, 0, "error"), { code });
    expect([code, writeFailure(error)]).toMatchObject([code, { code, fault, isPassing }]);
  }
});

test("P6: a statement without an answer in time may wait for what one row of it waits for, or the server may be silent", () => {
  expect(writeFailure(new Error("Query read timeout"))).toMatchObject({ fault: "either", isPassing: true });
  expect(writeFailure(new Error("Connection terminated unexpectedly"))).toMatchObject({ fault: "database" });
});
