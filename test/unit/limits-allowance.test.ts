import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Allowance } from "../../src/limits/allowance.ts";

/** Starts as soon as allowed at each of the moments, `tries` times. */
function startsOf(allowance: Allowance, moments: readonly { readonly at: number; readonly tries: number }[]): number[] {
  const starts: number[] = [];
  for (const { at, tries } of moments) {
    for (let left = tries; left > 0 && allowance.waitMs(at) === 0; left -= 1) {
      allowance.start(at);
      starts.push(at);
    }
  }
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

/** Moments at which a sender tries: gaps of all sizes, with late timers, stalls and bursts of tries. */
const anyMoments = fc
  .array(
    fc.record({
      gapMs: fc.oneof(
        { weight: 8, arbitrary: fc.double({ min: 0, max: 12, noNaN: true }) },
        { weight: 2, arbitrary: fc.double({ min: 0, max: 400, noNaN: true }) },
        { weight: 1, arbitrary: fc.double({ min: 0, max: 5_000, noNaN: true }) },
      ),
      tries: fc.oneof(fc.constant(1), fc.constant(3), fc.constant(10_000)),
    }),
    { minLength: 50, maxLength: 600 },
  )
  .map((steps) => {
    let at = 0;
    return steps.map(({ gapMs, tries }) => ({ at: (at += gapMs), tries }));
  });

/** A sender that takes all it can get for two seconds, after a pause that fills what may be banked. */
const greedy = fc
  .record({ pauseMs: fc.constantFrom(0, 30, 3_000), gapMs: fc.double({ min: 0.2, max: 15, noNaN: true }) })
  .map(({ pauseMs, gapMs }) =>
    Array.from({ length: Math.ceil(2_000 / gapMs) }, (_, index) => ({ at: pauseMs + index * gapMs, tries: 10_000 })),
  );

const moments = fc.oneof(anyMoments, greedy);

const rate = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.constantFrom(200, 1_000, 5_000),
  fc.double({ min: 0.05, max: 3, noNaN: true }),
);

describe("P7 allowance", () => {
  test("P7 no second holds more starts than the rate, whenever the sender tries", () => {
    fc.assert(
      fc.property(rate, moments, (perSecond, when) => {
        const starts = startsOf(new Allowance(perSecond, 0), when);
        expect(mostWithin(starts, 1_000)).toBeLessThanOrEqual(Math.ceil(perSecond));
        expect(mostWithin(starts, (Math.ceil(perSecond) / perSecond) * 1_000)).toBeLessThanOrEqual(
          Math.ceil(perSecond),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("P6: at the full rate what is kept is free at once, at any time", () => {
    const allowance = new Allowance(200, 0);
    const takeSpare = (at: number): number => {
      while (allowance.waitMs(at, allowance.kept) === 0) allowance.start(at);
      return allowance.waitMs(at);
    };
    const waits = Array.from({ length: 10_000 }, (_, half) => takeSpare(half / 2));
    expect(Math.max(...waits.slice(4_000))).toBe(0);
  });

  test("P7 at 200 per second no 100 ms hold more than 25 starts", () => {
    fc.assert(
      fc.property(moments, (when) => {
        expect(mostWithin(startsOf(new Allowance(200, 0), when), 100)).toBeLessThanOrEqual(25);
      }),
      { numRuns: 300 },
    );
  });

  test("P7 a restart adds nothing to what an even sender had sent, and lets the first request go at once", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), moments, (perSecond, when) => {
        const before = Array.from({ length: perSecond }, (_, index) => -((perSecond - index) * 1_000) / perSecond);
        const restarted = new Allowance(perSecond, 0);
        expect(restarted.waitMs(0)).toBe(0);
        const starts = startsOf(restarted, when);
        expect(mostWithin([...before, ...starts], 1_000)).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 300 },
    );
  });

  test("P7 a restart right after a real sender stays within the rate from its second request on", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), moments, moments, (perSecond, when, after) => {
        const before = startsOf(new Allowance(perSecond, 0), when);
        const restartAt = when.at(-1)?.at ?? 0;
        const restarted = new Allowance(perSecond, restartAt);
        const [, ...later] = startsOf(
          restarted,
          after.map(({ at, tries }) => ({ at: at + restartAt, tries })),
        );
        expect(mostWithin([...before, ...later], 1_000)).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 300 },
    );
  });

  test("P7 taking over from a daemon that sent evenly until then stays within the rate, whatever was sent before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), moments, moments, (perSecond, when, after) => {
        const allowance = new Allowance(perSecond, 0);
        const own = startsOf(allowance, when);
        const takeOverAt = (when.at(-1)?.at ?? 0) + 10_000;
        allowance.assumeSpent(takeOverAt);
        expect(allowance.waitMs(takeOverAt)).toBe(0);
        const others = Array.from(
          { length: perSecond },
          (_, index) => takeOverAt - 1_000 + (index * 1_000) / perSecond,
        );
        const later = startsOf(
          allowance,
          after.map(({ at, tries }) => ({ at: at + takeOverAt, tries })),
        );
        expect(mostWithin([...own, ...others, ...later], 1_000)).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 200 },
    );
  });

  test("P7 taking over right after a real sender stays within the rate from the second request on", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), moments, moments, (perSecond, when, after) => {
        const others = startsOf(new Allowance(perSecond, 0), when);
        const takeOverAt = when.at(-1)?.at ?? 0;
        const allowance = new Allowance(perSecond, -10_000);
        allowance.assumeSpent(takeOverAt);
        const [, ...later] = startsOf(
          allowance,
          after.map(({ at, tries }) => ({ at: at + takeOverAt, tries })),
        );
        expect(mostWithin([...others, ...later], 1_000)).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 200 },
    );
  });

  test("P7 assuming the past as spent lifts nothing that real starts hold back", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), moments, moments, (perSecond, when, after) => {
        const allowance = new Allowance(perSecond, 0);
        const before = startsOf(allowance, when);
        const at = when.at(-1)?.at ?? 0;
        const waitMs = allowance.waitMs(at);
        allowance.assumeSpent(at);
        expect(allowance.waitMs(at)).toBeGreaterThanOrEqual(waitMs);
        const later = startsOf(
          allowance,
          after.map((one) => ({ at: one.at + at, tries: one.tries })),
        );
        expect(mostWithin([...before, ...later], 1_000)).toBeLessThanOrEqual(perSecond);
      }),
      { numRuns: 200 },
    );
  });

  test("P7 a change of the rate never exceeds the greater of both, nor the new one after it", () => {
    fc.assert(
      fc.property(rate, rate, moments, moments, (first, second, when, after) => {
        const old = new Allowance(first, 0);
        const before = startsOf(old, when);
        const changeAt = when.at(-1)?.at ?? 0;
        const changed = new Allowance(second, changeAt, old);
        const later = startsOf(
          changed,
          after.map(({ at, tries }) => ({ at: at + changeAt, tries })),
        );
        expect(mostWithin([...before, ...later], 1_000)).toBeLessThanOrEqual(Math.ceil(Math.max(first, second)));
        const all = [...before, ...later];
        const most = Math.ceil(second);
        for (let index = Math.max(before.length, most); index < all.length; index += 1) {
          expect((all[index] ?? 0) - (all[index - most] ?? 0)).toBeGreaterThanOrEqual(1_000);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("P7 after a pause two starts are as far apart as the rate says, but for 20 ms that may be banked", () => {
    const allowance = new Allowance(2, 0);
    expect(allowance.waitMs(10_000)).toBe(0);
    allowance.start(10_000);
    expect(allowance.waitMs(10_000)).toBeCloseTo(500 / 0.995 - 20 / 0.995, 6);
    expect(allowance.waitMs(10_400)).toBeCloseTo(500 / 0.995 - 20 / 0.995 - 400, 6);
  });

  test("P7 what accrued in a pause is there after a change of the rate: the next request goes at once", () => {
    const allowance = new Allowance(1, 0);
    allowance.start(0);
    expect(new Allowance(1.5, 500, allowance).waitMs(500)).toBeGreaterThan(300);
    expect(new Allowance(1.5, 10_000, allowance).waitMs(10_000)).toBe(0);
  });

  test.each([
    [0.5, 1],
    [7, 1],
    [200, 2],
    [5_000, 50],
  ])("P7 at %d per second permits are released in groups of %i, at least 10 ms apart", (perSecond, permits) => {
    const { groupMs } = new Allowance(perSecond, 0);
    expect(groupMs).toBeCloseTo((permits * 1_000) / (perSecond * 0.995), 6);
    expect(groupMs).toBeGreaterThanOrEqual(10);
  });

  test("P7 a rate that changes again and again lets no burst through", () => {
    let allowance = new Allowance(200, 0);
    const starts: number[] = [];
    // After a pause nothing but the pace holds starts back.
    for (let at = 5_000; at < 7_000; at += 5) {
      allowance = new Allowance(at % 10 === 0 ? 200 : 199, at, allowance);
      starts.push(...startsOf(allowance, [{ at, tries: 100 }]));
    }
    expect(mostWithin(starts, 100)).toBeLessThanOrEqual(25);
  });

  test.each([0.5, 1, 1.5, 7, 50, 200, 1_000, 5_000])(
    "P7 %d per second is reached within 2 percent by a prompt sender",
    (perSecond) => {
      const allowance = new Allowance(perSecond, 0);
      const tickMs = 1;
      const lengthMs = 40_000;
      const when = Array.from({ length: lengthMs / tickMs }, (_, index) => ({ at: index * tickMs, tries: 10_000 }));
      const starts = startsOf(allowance, when);
      expect(starts.length).toBeGreaterThan((perSecond * lengthMs * 0.98) / 1_000 - 1);
    },
  );

  test("P7 timers that are up to 20 ms late cost no rate", () => {
    const when: { at: number; tries: number }[] = [];
    for (let at = 0, index = 0; at < 20_000; index += 1, at += 10 + ((index * 7) % 11))
      when.push({ at, tries: 10_000 });
    expect(startsOf(new Allowance(200, 0), when).length).toBeGreaterThan(196 * 20);
  });

  test("a rate that is none is refused", () => {
    for (const wrong of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new Allowance(wrong, 0)).toThrow(RangeError);
    }
  });
});
