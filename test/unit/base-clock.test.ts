import { expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";

/** A timer of this length is later than one that Node fires at once, and long before any real one. */
const SHORT_MS = 20;

it.each([2 ** 31, 40 * 365 * 86_400_000, Infinity])("a sleep of %d ms outlasts Node's longest timer", async (ms) => {
  const wake = new AbortController();
  const slept = systemClock.sleep(ms, wake.signal).then(() => "slept" as const);
  const short = systemClock.sleep(SHORT_MS, wake.signal).then(() => "still asleep" as const);
  expect(await Promise.race([slept, short])).toBe("still asleep");
  wake.abort();
  expect(await slept).toBe("slept");
});

it("a sleep ends at once where the signal fired before it", async () => {
  await expect(systemClock.sleep(Infinity, AbortSignal.abort())).resolves.toBeUndefined();
});
