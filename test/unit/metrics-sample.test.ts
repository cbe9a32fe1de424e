import { expect, test } from "vitest";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import { Sampler } from "../../src/metrics/sample.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";

test.each([
  ["polling", 1],
  ["live", 0],
])("a daemon that is %s forgets heartbeats that wait for their answer %d times", async (phase, times) => {
  let forgotten = 0;
  const meters = { database: "app", requests: new RequestMeter(0), heartbeats: new HeartbeatMeter() };
  const limits = { inFlight: 1, memoryRequests: 1, memoryBytes: 1, answerBytes: 1, perSecond: "unlimited" } as const;
  const db = {
    query: async (): Promise<never> => {
      throw new Error("the database is away");
    },
  };
  const clock = new FakeClock();
  const sampler = new Sampler({ meters, limits, isReady: () => true, db, slotName: null, clock, log: silentLog });
  const heartbeat = { forget: () => forgotten++, beat: () => undefined, pendingMs: 0 };
  sampler.dispatches({
    dispatcher: { state: { phase, heardMsAgo: 1 }, load: {} },
    db,
    answers: { bytes: 0 },
    heartbeat,
    limits,
  } as never);
  await sampler.sample();
  expect(forgotten).toBe(times);
});
