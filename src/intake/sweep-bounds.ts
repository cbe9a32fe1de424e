import type { SweepPlan, SweepRoom } from "../outbox/sweep.ts";

/** Lanes that one sweep reads. */
const MOST_LANES = 5_000;

/** Lanes of one that must be soon done, and its share of the rows that memory has room for. */
const NARROW = { lanes: 50, rows: 1 / 5 };

/** What decides how much one sweep reads. Times are milliseconds of the clock handed in. */
export interface SweepState {
  readonly now: number;
  /** What memory has room for. */
  readonly room: SweepRoom;
  /** The rate is limited: few rows last for some time. */
  readonly isLimited: boolean;
  readonly lanesBehind: number | "every";
  /** Since when the stream is stalled; null without a stall. */
  readonly stalledSince: number | null;
  /** When the last sweep ended. */
  readonly sweptAt: number;
}

/**
 * What one sweep may bring. P6: while the stream is stalled responsive hosts wait for sweeps, so each is soon done, until one found
 * that few lanes are behind. Without a limit all rows are wanted soon.
 */
export function sweepBounds({ now, room, isLimited, ...state }: SweepState): SweepRoom & Pick<SweepPlan, "lanes"> {
  const { lanesBehind, stalledSince, sweptAt } = state;
  const isStalled = stalledSince !== null && stalledSince <= now;
  const mayBeMany = lanesBehind === "every" || lanesBehind > NARROW.lanes;
  if (!isLimited || !isStalled || (sweptAt >= stalledSince && !mayBeMany)) return { ...room, lanes: MOST_LANES };
  return { ...room, lanes: NARROW.lanes, rows: Math.ceil(room.rows * NARROW.rows) };
}
