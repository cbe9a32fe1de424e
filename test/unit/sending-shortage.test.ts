import { expect, it } from "vitest";
import { Shortage } from "../../src/sending/shortage.ts";
import { silentLog } from "../support/silent-log.ts";

it("makes requests wait longer, up to half a minute, the longer something is lacking", () => {
  const shortage = new Shortage(silentLog, () => 1);
  const delays = [0, 1_000, 10_000, 40_000, 90_000, 149_000].map((now) => shortage.delayMs("EMFILE", now));
  expect(delays).toEqual([1_000, 1_000, 5_000, 20_000, 30_000, 30_000]);
  expect(shortage.delayMs("EMFILE", 149_000 + 60_001)).toBe(1_000);
});

it("is over when nothing was lacking for more than a minute", () => {
  const delays = [60_000, 60_001].map((now) => {
    const shortage = new Shortage(silentLog, () => 1);
    shortage.delayMs("EMFILE", 0);
    return shortage.delayMs("EMFILE", now);
  });
  expect(delays).toEqual([30_000, 1_000]);
});

it("spreads them over half of that time", () => {
  expect(new Shortage(silentLog, () => 0).delayMs("EMFILE", 0)).toBe(500);
});

it("says each cause once, with what to do, until it was over", () => {
  const lines: unknown[] = [];
  const shortage = new Shortage({ ...silentLog, error: (fields) => lines.push(fields) }, () => 0);
  for (let now = 0; now < 100_000; now += 100) {
    shortage.delayMs("EMFILE", now);
    shortage.delayMs("EADDRNOTAVAIL", now);
  }
  expect(lines).toEqual([
    { cause: "EMFILE", hint: expect.stringContaining("ulimit -n") as unknown },
    { cause: "EADDRNOTAVAIL", hint: expect.stringContaining("ip_local_port_range") as unknown },
  ]);
  shortage.delayMs("EMFILE", 200_000);
  expect(lines).toHaveLength(3);
});
