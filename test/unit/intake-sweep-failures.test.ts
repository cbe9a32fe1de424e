import { expect, test } from "vitest";
import { SweepFailures } from "../../src/intake/sweep-failures.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { silentLog } from "../support/silent-log.ts";

test("sweeps that fail are tried again after growing waits, and soon again after one that succeeded", () => {
  const failures = new SweepFailures(silentLog);
  const waits = Array.from({ length: 9 }, () => failures.failed(new Error("no")));
  expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  failures.succeeded();
  expect(failures.failed(new Error("no"))).toBe(50);
});

test("that the outbox cannot be read is said from the third failure in a row on, with the reason of the last", () => {
  const failures = new SweepFailures(silentLog);
  failures.failed(new Error("first"));
  failures.failed(new Error("second"));
  expect(failures.unread).toBeNull();
  failures.failed(Object.assign(new Error("third"), { code: "42501" }));
  expect(failures.unread).toBe("the outbox could not be read 3 times in a row: third (42501)");
  failures.succeeded();
  expect(failures.unread).toBeNull();
});

test("that the outbox could not be read is logged once, and once that it is", () => {
  const { log, lines } = recordedLog();
  const failures = new SweepFailures(log);
  failures.succeeded();
  failures.failed(new Error("no"));
  failures.failed(new Error("no"));
  failures.succeeded();
  expect(lines.map(({ message }) => message)).toEqual([
    "the outbox could not be read; trying again",
    "the outbox is read again",
  ]);
});
