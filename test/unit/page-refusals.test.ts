import { expect, it } from "vitest";
import { Refusals } from "../../src/page/refusals.ts";
import { silentLog } from "../support/silent-log.ts";

it("refusals are logged at once, then together, once a minute at most", () => {
  const counts: unknown[] = [];
  let now = 0;
  const refusals = new Refusals({ ...silentLog, warn: ({ count }) => counts.push(count) }, "refused", () => now);
  for (now = 0; now < 120_000; now += 1_000) refusals.refused("127.0.0.1", "why");
  expect(counts).toEqual([1, 60]);
});
