import { expect, it } from "vitest";
import { OTHERS, BusiestHosts } from "../../src/metrics/busiest-hosts.ts";
import { Distribution } from "../../src/metrics/distribution.ts";
import { ServerClock } from "../../src/metrics/server-clock.ts";
import { SlotForecast } from "../../src/metrics/slot-forecast.ts";

it("a distribution counts each number in the first bucket whose bound it does not exceed", () => {
  const distribution = new Distribution([0.1, 1]);
  for (const value of [0.05, 0.1, 0.2, 1, 7]) distribution.observe(value);
  expect(distribution.cumulative).toEqual([
    [0.1, 2],
    [1, 4],
    [Infinity, 5],
  ]);
  expect([distribution.count, distribution.sum]).toEqual([5, expect.closeTo(8.35)]);
});

it("1,000 hosts have as many labels as are allowed, and every try is counted once", () => {
  const hosts = new BusiestHosts(20, () => 0);
  for (let n = 0; n < 3_000; n++) {
    hosts.started(`host-${n % 1_000}.example`);
    hosts.ended(`host-${n % 1_000}.example`, "2xx", 0.5);
  }
  const read = hosts.read();
  expect(read.size).toBe(21);
  expect([...read.values()].reduce((sum, { ended }) => sum + ended.reduce((a, b) => a + b, 0), 0)).toBe(3_000);
  expect(read.get(OTHERS)?.seconds).toBe((3_000 - 20 * 3) / 2);
  expect(hosts.labelOf("host-999.example")).toBe(OTHERS);
});

it("a number that is not finite leaves a distribution as it is", () => {
  const distribution = new Distribution([1]);
  for (const value of [0.5, Number.NaN, Infinity]) distribution.observe(value);
  expect([distribution.count, distribution.sum]).toEqual([1, 0.5]);
});

it("one host at most is replaced in a minute, by one that is busier than the least busy was on average", () => {
  let now = 0;
  const hosts = new BusiestHosts(2, () => now);
  const window = (starts: Readonly<Record<string, number>>): readonly string[] => {
    for (const [host, count] of Object.entries(starts)) for (let n = 0; n < count; n++) hosts.started(host);
    now += 60_000;
    return [...hosts.read().keys()];
  };
  expect(window({ a: 100, b: 8, c: 9 })).toEqual(["a", "b", OTHERS]);
  // A minute without any says little of a host that was busy before.
  expect(window({ b: 8, c: 20 })).toEqual(["a", "c", OTHERS]);
  expect(window({ c: 20, d: 100, e: 90 })).toEqual(["a", "d", OTHERS]);
  expect(window({ d: 1, e: 1 })).toEqual(["a", "d", OTHERS]);
});

it("after a minute the busiest hosts have the labels, and no count has gone down meanwhile", () => {
  let now = 0;
  const hosts = new BusiestHosts(1, () => now);
  const ended = (host: string, count: number): void => {
    for (let n = 0; n < count; n++) {
      hosts.started(host);
      hosts.ended(host, "timeout", 1);
    }
  };
  const seconds = (): readonly (readonly [string, number])[] =>
    [...hosts.read()].map(([host, counts]) => [host, counts.seconds]);
  ended("first", 6);
  ended("second", 11);
  now = 59_999;
  expect(seconds()).toEqual([
    ["first", 6],
    [OTHERS, 11],
  ]);
  now = 60_000;
  // Less than twice as busy: a change would only break the lines of a graph.
  expect(seconds()).toEqual([
    ["first", 6],
    [OTHERS, 11],
  ]);
  ended("second", 12);
  now = 120_000;
  expect(seconds()).toEqual([
    ["second", 0],
    [OTHERS, 23],
  ]);
  ended("second", 2);
  ended("first", 1);
  expect(seconds()).toEqual([
    ["second", 2],
    [OTHERS, 24],
  ]);
});

it("a host called other, and one whose name nobody can resolve, take nothing from the rest", () => {
  const hosts = new BusiestHosts(20, () => 0);
  for (const [seconds, host] of ["other", "x".repeat(254)].entries()) {
    hosts.started(host);
    hosts.ended(host, "2xx", seconds + 1);
  }
  expect([...hosts.read()].map(([host, counts]) => [host, counts.seconds])).toEqual([
    ["other.", 1],
    [OTHERS, 2],
  ]);
});

it("the server's clock is that of the message that was under way for the shortest time", () => {
  let local = 1_000;
  const clock = new ServerClock(() => local);
  expect(clock.now()).toBe(1_000);
  clock.heard(5_900);
  clock.heard(5_990);
  clock.heard(5_500);
  expect(clock.now()).toBe(5_990);
  for (local = 11_000; local < 61_000; local += 10_000) {
    clock.heard(local + 50);
    expect(clock.now()).toBe(local + 4_990);
  }
  clock.heard(61_050);
  expect(clock.now()).toBe(61_050);
});

it("the seconds until a slot's limit follow from how fast it was approached in the last minutes", () => {
  const forecast = new SlotForecast();
  expect(forecast.read(0, 1_000)).toBe(Infinity);
  expect(forecast.read(59_999, 950)).toBe(Infinity);
  expect(forecast.read(100_000, 900)).toBe(900);
  expect(forecast.read(200_000, 700)).toBe((700 * 200) / 300);
  expect(forecast.read(300_000, 1_000)).toBe(Infinity);
  expect(forecast.read(400_000, -1)).toBe(0);
  expect(forecast.read(500_000, null)).toBeNull();
  expect(forecast.read(1_000_000, 500)).toBe(Infinity);
});
