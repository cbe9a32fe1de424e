import { expect, test } from "vitest";
import { Places } from "../../src/sending/places.ts";

/** An eighth, 8, is reserved; a responsive host may have one whatever is free. */
const places = new Places(64);

test("P6: a responsive host may have few places whatever is free, and beyond that leaves as many as it has", () => {
  const many = new Places(256);
  const needed = [0, 3, 4, 10].map((inFlight) => many.needed({ inFlight, standing: "responsive" }));
  expect(needed).toEqual([1, 1, 5, 11]);
  expect(new Places(10).needed({ inFlight: 0, standing: "responsive" })).toBe(1);
  expect(places.needed({ inFlight: 1, standing: "responsive" })).toBe(2);
});

test("P6: a slow host leaves the reserved places and as many as it has, and a silent one four times as many", () => {
  expect([0, 5].map((inFlight) => places.needed({ inFlight, standing: "slow" }))).toEqual([9, 14]);
  expect([0, 5].map((inFlight) => places.needed({ inFlight, standing: "silent" }))).toEqual([9, 29]);
});

test("P6: hosts without a place need one each, and the reserved ones where any of them is not responsive", () => {
  expect(places.neededFor({ responsive: 3, others: 0 })).toBe(3);
  expect(places.neededFor({ responsive: 3, others: 2 })).toBe(13);
});

test("P6: the last eighth of the places is reserved", () => {
  expect([8, 9].map((free) => places.areReserved(free))).toEqual([true, false]);
});
