import { expect, test } from "vitest";
import { SlotForecast } from "../../src/metrics/slot-forecast.ts";

/** What is said at the end of `phases`, each with as many seconds at a rate of bytes per second, read every 10 s from 1 GB on. */
function after(...phases: readonly (readonly [seconds: number, bytesPerSecond: number])[]): number | null {
  const forecast = new SlotForecast();
  let [at, safe, said] = [0, 1e9, null as number | null];
  for (const [seconds, bytesPerSecond] of phases) {
    for (const end = at + seconds; at < end; at += 10, safe -= 10 * bytesPerSecond)
      said = forecast.read(at * 1_000, safe);
  }
  return said;
}

test("says how long what is left lasts at the rate of the last five minutes, whatever it was before", () => {
  expect(after([300, 1e6])).toBeCloseTo((1e9 - 290e6) / 1e6, 3);
  expect(after([600, 1e6], [400, 1e5])).toBeCloseTo((1e9 - 600e6 - 390e5) / 1e5, 3);
});

test("knows no end in the first minute, where nothing is used, and without a limit", () => {
  expect(after([60, 1e6])).toBe(Infinity);
  expect(after([300, 0])).toBe(Infinity);
  expect(new SlotForecast().read(0, null)).toBeNull();
  expect(new SlotForecast().read(0, 0)).toBe(0);
});

test("begins anew where there was no limit meanwhile", () => {
  const forecast = new SlotForecast();
  forecast.read(0, 1e9);
  forecast.read(100_000, null);
  expect(forecast.read(200_000, 1e8)).toBe(Infinity);
});
