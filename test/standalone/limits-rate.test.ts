import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, describe, expect, test, vi } from "vitest";

import { systemClock } from "../../src/base/clock.ts";
import { openRateLimit, type Rate, type RateLimit } from "../../src/limits/rate.ts";

const run = promisify(execFile);
const now = (): number => systemClock.now();

/** A sender that always has more, for `forMs`: the times of its starts, from 0 on. */
async function saturate(perSecond: Rate, forMs: number, atMost = Number.POSITIVE_INFINITY): Promise<number[]> {
  const opened = now();
  const starts: number[] = [];
  const done = Promise.withResolvers<void>();
  const pump = (): void => {
    while (starts.length < atMost && limit.tryTake()) starts.push(now() - opened);
    if (starts.length >= atMost || now() - opened >= forMs) done.resolve();
  };
  using limit = openRateLimit({ perSecond, onPermit: pump, clock: systemClock });
  pump();
  await done.promise;
  return starts;
}

/** The most starts in any half-open window of `spanMs`. */
function mostWithin(starts: readonly number[], spanMs: number): number {
  let most = 0;
  let first = 0;
  starts.forEach((at, index) => {
    while (at - (starts[first] ?? 0) >= spanMs) first += 1;
    most = Math.max(most, index - first + 1);
  });
  return most;
}

/** Times, from 0 on, at which a timer of 5 ms got its turn. */
class Heartbeat implements Disposable {
  readonly beats: number[] = [];
  readonly #from = now();
  readonly #timer = setInterval(() => this.beats.push(now() - this.#from), 5);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Time for which a busy machine let this process do nothing: a sender that may not send in bursts cannot make up for it. */
function stalls(beats: readonly number[]): number {
  const gaps = beats.slice(1).map((at, index) => at - (beats[index] ?? at));
  return gaps.filter((gapMs) => gapMs > 7).reduce((sum, gapMs) => sum + gapMs - 5, 0);
}

function takeAll(limit: RateLimit): number {
  let taken = 0;
  while (limit.tryTake()) taken += 1;
  return taken;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe.concurrent("P7 with real timers", () => {
  test.each([
    { perSecond: 200, within100Ms: 25 },
    { perSecond: 1_000, within100Ms: 125 },
    { perSecond: 5_000, within100Ms: 625 },
  ])(
    "P7 $perSecond per second: reached, never exceeded in any second, smooth inside it",
    async ({ perSecond, within100Ms }) => {
      using heartbeat = new Heartbeat();
      const starts = await saturate(perSecond, 3_000);
      expect(mostWithin(starts, 1_000)).toBeLessThanOrEqual(perSecond);
      expect(mostWithin(starts, 100)).toBeLessThanOrEqual(within100Ms);
      const stalledMs = stalls(heartbeat.beats.filter((at) => at >= 990));
      expect(stalledMs).toBeLessThan(1_900);
      const lastTwo = starts.filter((at) => at >= 1_000 && at < 3_000).length;
      expect(lastTwo).toBeGreaterThanOrEqual(perSecond * 0.97 * (2 - stalledMs / 1_000));
    },
  );

  test("P7 half a request per second", async () => {
    const [first = 0, second = 0] = await saturate(0.5, 10_000, 2);
    expect(first).toBeLessThan(5);
    expect(second - first).toBeGreaterThanOrEqual(2_000);
    expect(second - first).toBeLessThan(2_200);
  });
});

describe("a rate limit", () => {
  test("unlimited refuses nothing", async () => {
    expect(await saturate("unlimited", 10_000, 100_000)).toHaveLength(100_000);
  });

  test("a request goes at once where a permit is free: half the limit waits for no tick", async () => {
    let refused = 0;
    using limit = openRateLimit({ perSecond: 200, onPermit: () => {}, clock: systemClock });
    limit.tryTake();
    const stop = new AbortController();
    await systemClock.sleep(60, stop.signal);
    for (let index = 0; index < 50; index += 1) {
      if (!limit.tryTake()) refused += 1;
      await systemClock.sleep(10, stop.signal);
    }
    expect(refused).toBe(0);
  });

  test("P8 it keeps no timer after the last refusal was answered: its process ends by itself", async () => {
    const code = `
      import { systemClock as clock } from "${import.meta.resolve("../../src/base/clock.ts")}";
      import { openRateLimit } from "${import.meta.resolve("../../src/limits/rate.ts")}";
      const limit = openRateLimit({ perSecond: 200, onPermit: () => console.log("permit"), clock });
      while (limit.tryTake()) console.log("start");`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", code], { timeout: 10_000 });
    // On a busy machine there may be time for more between two starts.
    expect(stdout).toMatch(/^(start\n)+permit\n$/);
  });

  test("P7 a changed rate holds at once, from slow to fast, to unlimited and back", async () => {
    let permits = 0;
    using limit = openRateLimit({ perSecond: 0.1, onPermit: () => void (permits += 1), clock: systemClock });
    expect(limit.tryTake()).toBe(true);
    expect(limit.tryTake()).toBe(false);
    limit.setRate(100);
    await vi.waitFor(() => expect(permits).toBe(1), { timeout: 2_000, interval: 1 });
    takeAll(limit);
    limit.setRate("unlimited");
    await vi.waitFor(() => expect(permits).toBe(2), { interval: 1 });
    for (let index = 0; index < 1_000; index += 1) expect(limit.tryTake()).toBe(true);
    limit.setRate(100);
    expect(limit.tryTake()).toBe(true);
    expect(limit.tryTake()).toBe(false);
  });

  test("a system clock that is set back an hour stops nothing for longer than about a second", async () => {
    const real = Date.now.bind(Date);
    const starts: number[] = [];
    const pump = (): void => {
      while (limit.tryTake()) starts.push(now());
    };
    using limit = openRateLimit({ perSecond: 200, onPermit: pump, clock: systemClock });
    pump();
    await vi.waitFor(() => expect(starts.length).toBeGreaterThan(10));
    vi.spyOn(Date, "now").mockImplementation(() => real() - 3_600_000);
    const changed = now();
    await vi.waitFor(() => expect(starts.at(-1)).toBeGreaterThan(changed + 1_300), { timeout: 5_000 });
    const longestGapMs = Math.max(...starts.slice(1).map((at, index) => at - (starts[index] ?? 0)));
    expect(longestGapMs).toBeLessThan(1_500);
  });

  test("nothing is released after it was disposed of", async () => {
    let permits = 0;
    {
      using limit = openRateLimit({ perSecond: 100, onPermit: () => void (permits += 1), clock: systemClock });
      takeAll(limit);
    }
    await systemClock.sleep(100, new AbortController().signal);
    expect(permits).toBe(0);
  });
});
