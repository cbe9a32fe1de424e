import { afterEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { HostRates } from "../../src/limits/host-rates.ts";
import { FakeClock } from "../support/fake-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

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
      ["a", 200],
      ["b", 200],
    ]),
  );
  clock.advance(10_000);
  rates.assumeSpent();
  expect([starts(rates, "a"), starts(rates, "b")]).toEqual([1, 1]);
});

test("P7: a host that was refused is called when it may try again, and no other, nor one whose rate was taken away", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  const permits: string[] = [];
  using rates = new HostRates(systemClock, (host) => permits.push(host));
  const rated = ["a", "b", "c"].map((host): [string, number] => [host, 10]);
  rates.configure(new Map(rated));
  for (const host of ["a", "c"]) starts(rates, host);
  rates.configure(new Map(rated.slice(0, 2)));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(permits).toEqual(["a"]);
});

test("the rates of hosts are gone when they are disposed of", () => {
  const rates = new HostRates(new FakeClock(), () => undefined);
  rates.configure(new Map([["a", 1]]));
  rates[Symbol.dispose]();
  expect(rates.of("a")).toBeNull();
});
