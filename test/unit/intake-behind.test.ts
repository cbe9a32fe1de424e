import { expect, test } from "vitest";
import { Behind } from "../../src/intake/behind.ts";

const named = (count: number): Set<string> => new Set(Array.from({ length: count }, (_, lane) => `l${lane}`));

test("at first every lane is behind, those never heard of included, and none by name", () => {
  const behind = new Behind();
  behind.add("a");
  expect([behind.isEvery, behind.has("b"), behind.count, [...behind.lanes]]).toEqual([true, true, "every", []]);
});

test("after a sweep those are behind of which it left rows, and those added since", () => {
  const behind = new Behind();
  behind.swept("every", new Set(["a", "b"]));
  behind.swept("every", new Set(["a"]));
  behind.add("c");
  expect(["a", "b", "c"].map((lane) => behind.has(lane))).toEqual([true, false, true]);
  expect([behind.isEvery, behind.count, [...behind.lanes]]).toEqual([false, 2, ["a", "c"]]);
});

test("a lane has caught up where one that was behind is not any more", () => {
  const behind = new Behind();
  const caughtUp = [[], ["a", "b"], ["a", "b", "c"], ["a", "b"], []].map((lanes) =>
    behind.swept("every", new Set(lanes)),
  );
  expect(caughtUp).toEqual([true, false, false, true, true]);
});

test("a sweep of some lanes leaves the others as they are", () => {
  const behind = new Behind();
  behind.swept("every", new Set(["a", "b", "c"]));
  const caughtUp = [["c"], [], []].map((left) => behind.swept(new Set(["c", "d"]), new Set(left)));
  expect([caughtUp, [...behind.lanes]]).toEqual([
    [false, true, false],
    ["a", "b"],
  ]);
  expect(behind.swept(new Set(["d"]), new Set(["d"]))).toBe(false);
  expect([behind.has("d"), behind.count]).toEqual([true, 3]);
});

test("P5: 20,000 lanes that are behind have names; with more of them every lane is", () => {
  const behind = new Behind();
  behind.swept("every", named(20_000));
  expect([behind.count, behind.has("other")]).toEqual([20_000, false]);
  behind.add("one more");
  expect([behind.count, behind.has("other"), [...behind.lanes]]).toEqual(["every", true, []]);
  behind.swept("every", named(20_001));
  expect(behind.isEvery).toBe(true);
});
