import type { SweepPlan } from "../../src/outbox/sweep.ts";

/** A sweep of every lane, with room for `perLane` requests of each, where `choices` do not say otherwise. */
export function sweepPlan(choices: Partial<SweepPlan> & Pick<SweepPlan, "rows" | "perLane">): SweepPlan {
  return {
    from: null,
    lanes: 5_000,
    bytes: 1 << 20,
    largest: 1 << 30,
    authorities: [],
    shares: [],
    known: [],
    ...choices,
  };
}
