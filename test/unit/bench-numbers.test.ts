import { expect, test } from "vitest";
import { busiestWindow, lostAndRepeated, percentile } from "../../bench/support/numbers.ts";

test("the busiest window is found at any offset, its end left out", () => {
  expect(busiestWindow([], 100)).toBe(0);
  expect(busiestWindow([0, 99, 100, 101, 198, 199], 100)).toBe(4);
  expect(busiestWindow([0, 100, 200], 100)).toBe(1);
});

test("what never came and what came again is counted", () => {
  expect(lostAndRepeated(Int32Array.from([1, 3, 3, 3]), 4)).toEqual({ lost: 2, repeated: 2 });
});

test("a percentile is one of the values", () => {
  const values = Array.from({ length: 100 }, (_, index) => index);
  expect([percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1)]).toEqual([50, 99, 99]);
});
