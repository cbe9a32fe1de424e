import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { openRateLimit, type Rate, type RateLimit } from "../../src/limits/rate.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

const now = (): number => systemClock.now();

interface Opened {
  readonly limit: RateLimit;
  /** When `onPermit` was called, in milliseconds since the opening. */
  readonly permits: number[];
}

function open(perSecond: Rate): Opened {
  const openedAt = now();
  const permits: number[] = [];
  const onPermit = (): number => permits.push(Math.round(now() - openedAt));
  return { limit: openRateLimit({ perSecond, onPermit, clock: systemClock }), permits };
}

function takeAll(limit: RateLimit): number {
  let taken = 0;
  while (limit.tryTake()) taken += 1;
  return taken;
}

/** Starts of a sender that always has more, for so many seconds. */
async function saturated(perSecond: Rate, seconds: number): Promise<number[]> {
  const starts: number[] = [];
  const openedAt = now();
  const pump = (): void => {
    while (limit.tryTake()) starts.push(now() - openedAt);
  };
  using limit = openRateLimit({ perSecond, onPermit: pump, clock: systemClock });
  pump();
  await vi.advanceTimersByTimeAsync(seconds * 1_000);
  return starts;
}

test.each([1, 7, 200, 1_000])(
  "P7: %i per second are reached by a sender that always has more, and not exceeded",
  async (perSecond) => {
    const starts = await saturated(perSecond, 5);
    const bySecond = Array.from(
      { length: 5 },
      (_, second) => starts.filter((at) => Math.floor(at / 1_000) === second).length,
    );
    expect(Math.max(...bySecond)).toBeLessThanOrEqual(perSecond);
    const afterFirst = bySecond.slice(1).reduce((sum, count) => sum + count, 0);
    expect(afterFirst).toBeGreaterThanOrEqual(Math.floor(3.9 * perSecond));
  },
);

test("P7: permits that many wait for are released in groups some ten milliseconds apart", async () => {
  const starts = new Set(await saturated(2_000, 1));
  expect(starts.size).toBeGreaterThan(80);
  expect(starts.size).toBeLessThanOrEqual(100);
});

test("P7: after a refusal there is one call when a permit is free, however often it was asked for", async () => {
  const { limit, permits } = open(10);
  expect([limit.tryTake(), limit.tryTake(), limit.isFree(), limit.tryTake()]).toEqual([true, false, false, false]);
  await vi.advanceTimersByTimeAsync(100);
  expect(permits).toEqual([]);
  await vi.advanceTimersByTimeAsync(900);
  expect(permits).toHaveLength(1);
  expect(permits[0]).toBeLessThan(130);
  expect(limit.isFree()).toBe(true);
});

test("P5, P8: however many are refused, they wait with the timers of one", async () => {
  const { limit, permits } = open(1);
  limit.tryTake();
  const timers = [1, 100].map((refusals) => {
    for (let refused = 0; refused < refusals; refused++) expect(limit.tryTake()).toBe(false);
    return vi.getTimerCount();
  });
  expect(timers[1]).toBe(timers[0]);
  await vi.advanceTimersByTimeAsync(500);
  expect(limit.tryTake()).toBe(false);
  expect([vi.getTimerCount(), permits]).toEqual([1, []]);
});

test("a request that is asked for and not started takes no permit", () => {
  const { limit } = open(10);
  expect([limit.isFree(), limit.isFree(), limit.tryTake(), limit.isFree()]).toEqual([true, true, true, false]);
});

test("P6: what is kept is free and not spare; who is refused a spare one hears when there may be one", async () => {
  const { limit, permits } = open(200);
  await vi.advanceTimersByTimeAsync(2_000);
  for (let started = 0; started < 4; started++) expect([limit.hasSpare(), limit.tryTake()]).toEqual([true, true]);
  expect([limit.isFree(), limit.hasSpare(), permits]).toEqual([true, false, []]);
  await vi.advanceTimersByTimeAsync(20);
  expect([permits.length > 0, limit.hasSpare()]).toEqual([true, true]);
});

test.each([1, 50, 199])("at %s per second every permit that is free is spare", async (perSecond) => {
  const { limit } = open(perSecond);
  await vi.advanceTimersByTimeAsync(2_000);
  while (limit.isFree()) expect([limit.hasSpare(), limit.tryTake()]).toEqual([true, true]);
});

test("P8: there is no timer but from a refusal until it was answered", async () => {
  const { limit, permits } = open(10);
  limit.tryTake();
  expect(vi.getTimerCount()).toBe(0);
  limit.tryTake();
  expect(vi.getTimerCount()).toBeGreaterThan(0);
  await vi.advanceTimersByTimeAsync(200);
  expect([permits.length, vi.getTimerCount()]).toEqual([1, 0]);
  limit.setRate(20);
  expect(vi.getTimerCount()).toBe(0);
});

test.each([1e-7, 1e-300])(
  "P8: at %s per second, less than one start in a month, waiting costs next to nothing",
  async (perSecond) => {
    using rate = openRateLimit({ perSecond, onPermit: () => undefined, clock: systemClock });
    expect([rate.tryTake(), rate.tryTake()]).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(1_000);
    const before = now();
    await vi.advanceTimersToNextTimerAsync();
    expect(now() - before).toBeGreaterThan(10_000);
  },
);

test("P7: what another daemon may have sent until now counts as sent", async () => {
  const { limit } = open(100);
  await vi.advanceTimersByTimeAsync(10_000);
  limit.assumeSpent();
  expect(takeAll(limit)).toBe(1);
});

test("unlimited holds nothing back, also where another daemon may have sent", () => {
  const { limit } = open("unlimited");
  limit.assumeSpent();
  expect(Array.from({ length: 10_000 }, () => limit.tryTake())).not.toContain(false);
  expect(vi.getTimerCount()).toBe(0);
});

test("P7: who waits at a slow rate goes on at once at a fast one, and when there is no limit any more", async () => {
  const { limit, permits } = open(0.01);
  takeAll(limit);
  await vi.advanceTimersByTimeAsync(200);
  limit.setRate(100);
  await vi.advanceTimersByTimeAsync(50);
  expect(permits).toHaveLength(1);
  limit.setRate(0.01);
  takeAll(limit);
  limit.setRate("unlimited");
  expect(permits).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(0);
  expect([permits.length, vi.getTimerCount()]).toEqual([2, 0]);
});

test("P7: who waits at a fast rate waits longer at a slow one", async () => {
  const { limit, permits } = open(100);
  takeAll(limit);
  await vi.advanceTimersByTimeAsync(5);
  limit.setRate(0.1);
  await vi.advanceTimersByTimeAsync(9_000);
  expect(permits).toEqual([]);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(permits).toHaveLength(1);
});

test("P8: a changed rate makes no timer and no call where nobody waits", async () => {
  const { limit, permits } = open(10);
  limit.tryTake();
  for (const rate of [20, 20, "unlimited", 10] as const) limit.setRate(rate);
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(permits).toEqual([]);
});

test("P7: the same rate once more changes nothing for who waits", async () => {
  const { limit, permits } = open(10);
  takeAll(limit);
  const timers = vi.getTimerCount();
  limit.setRate(10);
  expect(vi.getTimerCount()).toBe(timers);
  await vi.advanceTimersByTimeAsync(130);
  expect(permits).toHaveLength(1);
});

test("P7: a rate after unlimited counts the time before as spent at the full rate", () => {
  const { limit } = open("unlimited");
  for (let taken = 0; taken < 1_000; taken += 1) limit.tryTake();
  limit.setRate(100);
  expect(takeAll(limit)).toBe(1);
});

test("nothing is released, and no timer is left, after it was disposed of", async () => {
  const { limit, permits } = open(100);
  takeAll(limit);
  limit[Symbol.dispose]();
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(permits).toEqual([]);
});

test("nothing is released after it was disposed of while a permit was waited for, or where the limit had just gone", async () => {
  const waiting = open(1);
  takeAll(waiting.limit);
  await vi.advanceTimersByTimeAsync(500);
  waiting.limit[Symbol.dispose]();
  const unlimited = open(1);
  takeAll(unlimited.limit);
  unlimited.limit.setRate("unlimited");
  unlimited.limit[Symbol.dispose]();
  await vi.advanceTimersByTimeAsync(10_000);
  expect([waiting.permits, unlimited.permits, vi.getTimerCount()]).toEqual([[], [], 0]);
});

test("P7: a system clock that is set back an hour holds a permit up for about a second", async () => {
  const starts: number[] = [];
  const pump = (): void => {
    while (limit.tryTake()) starts.push(now());
  };
  using limit = openRateLimit({ perSecond: 200, onPermit: pump, clock: systemClock });
  pump();
  await vi.advanceTimersByTimeAsync(500);
  vi.setSystemTime(Date.now() - 3_600_000);
  await vi.advanceTimersByTimeAsync(2_500);
  const longestGapMs = Math.max(...starts.slice(1).map((at, index) => at - (starts[index] ?? 0)));
  expect(longestGapMs).toBeGreaterThan(900);
  expect(longestGapMs).toBeLessThan(1_200);
  expect(starts.filter((at) => at - (starts[0] ?? 0) > 2_000).length).toBeGreaterThan(190);
});
