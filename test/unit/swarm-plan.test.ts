import { expect, test } from "vitest";
import { describePlan } from "../swarm/describe.ts";
import { CALLS, draw, FAULTS, FEATURES, type Plan } from "../swarm/draw.ts";
import { CHOICES } from "../swarm/settings.ts";

const PLANS: readonly Plan[] = Array.from({ length: 100 }, (_, index) => draw(index + 1));

test("the plan of a seed is always the same", () => {
  for (const plan of PLANS) expect(draw(plan.seed)).toEqual(plan);
});

test("the plans of two seeds differ", () => {
  const texts = PLANS.map((plan) => JSON.stringify({ ...plan, seed: 0 }));
  expect(new Set(texts).size).toBe(PLANS.length);
});

test("each kind of fault happens in the first hundred plans", () => {
  const kinds = PLANS.flatMap(({ steps }) => steps.flatMap((step) => (step.is === "fault" ? [step.fault.kind] : [])));
  expect([...new Set(kinds)].toSorted()).toEqual(Object.keys(FAULTS).toSorted());
});

test("no plan has every kind of fault, and some have none", () => {
  const counts = PLANS.map(({ faults }) => faults.length);
  expect(Math.min(...counts)).toBe(0);
  expect(Math.max(...counts)).toBeLessThan(Object.keys(FAULTS).length / 2);
});

test("each kind of call, and each feature of requests, is in the first hundred plans", () => {
  expect([...new Set(PLANS.flatMap(({ calls }) => calls))].toSorted()).toEqual(Object.keys(CALLS).toSorted());
  expect([...new Set(PLANS.flatMap(({ features }) => features))].toSorted()).toEqual(FEATURES.toSorted());
});

test("each value of each setting is drawn in the first hundred plans", () => {
  const drawn = new Set(
    PLANS.flatMap(({ settings }) => Object.entries(settings).map(([name, value]) => `${name} ${value}`)),
  );
  const choices = Object.entries<readonly unknown[]>(CHOICES).flatMap(([name, values]) =>
    values.map((value) => `${name} ${String(value)}`),
  );
  expect(drawn).toEqual(new Set(choices));
});

test("commits that are not on disk are not drawn together with a crash of the server", () => {
  const crashing = PLANS.filter(({ faults }) => faults.includes("server crash"));
  expect(crashing.length).toBeGreaterThan(0);
  for (const { calls } of crashing) expect(calls).not.toContain("asynchronous commits");
});

test("a plan is described with each of its steps", () => {
  for (const plan of PLANS) expect(describePlan(plan)).toHaveLength(5 + plan.steps.length);
});
