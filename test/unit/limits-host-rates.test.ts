import { expect, test } from "vitest";
import { HostRates } from "../../src/limits/host-rates.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** The requests to `host` that start now, at most 100. */
function starts(rates: HostRates, host: string): number {
  let count = 0;
  while (count < 100 && rates.of(host)?.tryTake() === true) count++;
  return count;
}

test("P7: each host has its own rate, and one without a rate has none", () => {
  using rates = new HostRates(new FakeClock(), () => undefined);
  rates.configure(new Map([["a", 1]]));
  expect([rates.of("a")?.tryTake(), rates.of("a")?.tryTake(), rates.of("b")]).toEqual([true, false, null]);
});

test("P7: starts count under a changed rate, too", () => {
  const clock = new FakeClock();
  using rates = new HostRates(clock, () => undefined);
  rates.configure(new Map([["a", 4]]));
  let before = 0;
  for (let ms = 0; ms < 2_000; ms += 10) {
    clock.advance(10);
    before += starts(rates, "a");
  }
  expect(before).toBeGreaterThan(5);
  rates.configure(new Map([["a", 3]]));
  expect(starts(rates, "a")).toBe(0);
  clock.advance(200);
  expect(starts(rates, "a")).toBe(0);
  clock.advance(1_000);
  expect(starts(rates, "a")).toBeGreaterThan(0);
});

test("a rate that was taken away holds nothing back", () => {
  using rates = new HostRates(new FakeClock(), () => undefined);
  rates.configure(
    new Map([
      ["a", 1],
      ["b", 1],
    ]),
  );
  rates.configure(new Map([["b", 1]]));
  expect(rates.of("a")).toBeNull();
  expect(rates.of("b")).not.toBeNull();
});

test("P7: what another daemon may have sent counts for every host", () => {
  const clock = new FakeClock();
  using rates = new HostRates(clock, () => undefined);
  rates.configure(
    new Map([
      ["a", 10],
      ["b", 10],
    ]),
  );
  clock.advance(10_000);
  rates.assumeSpent();
  expect([starts(rates, "a"), starts(rates, "b")]).toEqual([1, 1]);
});
