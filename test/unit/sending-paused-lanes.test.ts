import { expect, test } from "vitest";
import { PausedLanes } from "../../src/sending/paused-lanes.ts";

test("P5: so many lanes of paused hosts are remembered, and rows of others are left to the outbox as well", () => {
  const paused = new PausedLanes(() => true);
  const left = Array.from({ length: 10_001 }, (_, n) => paused.leave(`host-${n}`, `host-${n}`));
  expect(left.every(Boolean)).toBe(true);
  expect([paused.size, paused.has("host-9999"), paused.has("host-10000")]).toEqual([10_000, true, false]);
});

test("P6: a lane is mixed where one of its requests goes to a paused host and the others may go elsewhere", () => {
  const paused = new PausedLanes((host) => host === "paused");
  expect([
    paused.isMixed("other", "paused"),
    paused.isMixed("paused", "paused"),
    paused.isMixed("paused tenant", "paused"),
    paused.isMixed("other", "going"),
  ]).toEqual([true, false, false, false]);
  expect(paused.leave("other", "paused")).toBe(false);
  expect(paused.size).toBe(0);
});
