import { afterEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { HostRates } from "../../src/limits/host-rates.ts";
import type { RateLimit } from "../../src/limits/rate.ts";
import { Rates } from "../../src/limits/rates.ts";
import { FakeClock } from "../support/fake-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** The requests to `host` that start now, at most 100. */
function starts(rates: HostRates, host: string): number {
  return startsOf(rates.of(host));
}

function startsOf(rate: RateLimit | null): number {
  let count = 0;
  while (count < 100 && rate?.tryTake() === true) count++;
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

test("P7: what another daemon may have sent counts for the rate of all and for each host's, and for nothing after that", () => {
  const clock = new FakeClock();
  using rates = new Rates({ perSecond: 200, onPermit: () => undefined, clock });
  const taken = (): number[] => [rates.all, rates.hosts.of("a")].map((rate) => startsOf(rate));
  rates.hosts.configure(new Map([["a", 200]]));
  clock.advance(10_000);
  rates.assumeSpent();
  expect(taken()).toEqual([1, 1]);
  clock.advance(10_000);
  expect(taken()).toEqual([5, 5]);
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

test("P7: who was refused by the rate of all, or by a host's, is called when it may try again, unless they are disposed of", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  const permits: (string | null)[] = [];
  const refused = (): Rates => {
    const rates = new Rates({ perSecond: 10, onPermit: (host) => permits.push(host), clock: systemClock });
    rates.hosts.configure(new Map([["a", 10]]));
    for (const rate of [rates.all, rates.hosts.of("a")]) startsOf(rate);
    return rates;
  };
  const disposed = refused();
  disposed[Symbol.dispose]();
  expect(disposed.hosts.of("a")).toBeNull();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(permits).toEqual([]);
  using _rates = refused();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(permits).toEqual([null, "a"]);
});

test("the rates of hosts are gone when they are disposed of", () => {
  const rates = new HostRates(new FakeClock(), () => undefined);
  rates.configure(new Map([["a", 1]]));
  rates[Symbol.dispose]();
  expect(rates.of("a")).toBeNull();
});
