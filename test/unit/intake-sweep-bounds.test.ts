import { expect, test } from "vitest";
import { sweepBounds, type SweepState } from "../../src/intake/sweep-bounds.ts";

const ROOM = { rows: 501, bytes: 1_000, largest: 1_000, perLane: 10, shares: [] };
/** Stalled at 1,000, and not swept since; many lanes are behind. */
const STALLED: SweepState = {
  now: 1_050,
  room: ROOM,
  isLimited: true,
  lanesBehind: 51,
  stalledSince: 1_000,
  sweptAt: 999,
};

test.each<[what: string, state: Partial<SweepState>, isNarrow: boolean]>([
  ["the first one of a stall", { lanesBehind: 0 }, true],
  ["one at the moment it stalls", { now: 1_000 }, true],
  ["one while 51 lanes are behind", { sweptAt: 1_000 }, true],
  ["one while every lane is behind", { sweptAt: 1_000, lanesBehind: "every" }, true],
  ["one while 50 lanes are behind", { sweptAt: 1_000, lanesBehind: 50 }, false],
  ["one before a stall that is to come", { now: 999 }, false],
  ["one without a stall", { stalledSince: null }, false],
  ["one without a limit on the rate", { isLimited: false }, false],
])("P6: how much a sweep reads: %s", (_what, state, isNarrow) => {
  const bounds = isNarrow ? { lanes: 50, rows: 101 } : { lanes: 5_000, rows: 501 };
  expect(sweepBounds({ ...STALLED, ...state })).toEqual({ ...ROOM, ...bounds });
});
