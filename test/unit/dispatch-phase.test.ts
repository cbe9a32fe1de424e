import { expect, test } from "vitest";
import { mayStart, nextPhase, type Phase, type PhaseEvent } from "../../src/dispatch/phase.ts";

const PHASES: readonly Phase[] = ["not-leading", "polling", "catch-up", "live", "stopping"];

test("requests start while this daemon leads, and in no other phase", () => {
  expect(PHASES.filter(mayStart)).toEqual(["polling", "catch-up", "live"]);
});

/** What follows in each phase, in the order of PHASES. */
const NEXT: Readonly<Record<PhaseEvent, readonly Phase[]>> = {
  leading: ["polling", "polling", "polling", "polling", "stopping"],
  streaming: ["not-leading", "catch-up", "catch-up", "catch-up", "stopping"],
  lost: ["not-leading", "not-leading", "not-leading", "not-leading", "stopping"],
  "every-lane-behind": ["not-leading", "polling", "catch-up", "catch-up", "stopping"],
  truncated: ["not-leading", "polling", "catch-up", "catch-up", "stopping"],
  swept: ["not-leading", "polling", "live", "live", "stopping"],
  stop: ["stopping", "stopping", "stopping", "stopping", "stopping"],
};

test.for(Object.entries(NEXT) as [PhaseEvent, readonly Phase[]][])("%s moves to the next phase", ([event, next]) => {
  expect(PHASES.map((phase) => nextPhase(phase, event))).toEqual(next);
});
