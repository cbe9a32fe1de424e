import { expect, test } from "vitest";
import { nextStep, type ScheduleState, type Step } from "../../src/intake/schedule.ts";

/** Live and idle at 1,000: the last sweep ended at 900, having taken 4 ms. */
const IDLE: ScheduleState = {
  reading: "streaming",
  now: 1_000,
  hasRoom: true,
  isLimited: true,
  isStocked: false,
  isEveryBehind: false,
  sweptAt: 900,
  sweepMs: 4,
  notBefore: 0,
  dueAt: null,
  asked: false,
  wanted: false,
  wantedSoon: false,
  stalledSince: null,
  checkAt: null,
};

const SWEEP: Step = { kind: "sweep" };
const CHECK: Step = { kind: "check" };
const wait = (ms: number | null): Step => ({ kind: "wait", ms });

const steps: readonly (readonly [name: string, state: Partial<ScheduleState>, step: Step])[] = [
  ["P8: without work the reader of the outbox waits without end", {}, wait(null)],
  [
    "who does not lead reads nothing, whatever there is to do",
    { reading: "none", asked: true, isEveryBehind: true },
    wait(null),
  ],
  ["without a stream the outbox is swept each second", { reading: "polling" }, wait(900)],
  ["without a stream it is swept when the second is over", { reading: "polling", sweptAt: 0 }, SWEEP],
  ["while every lane is behind it is swept at once", { isEveryBehind: true }, SWEEP],
  [
    "while every lane is behind and memory is full it is swept 100 ms after the last",
    { isEveryBehind: true, hasRoom: false, sweptAt: 950 },
    wait(50),
  ],
  ["a sweep that failed is not tried again before its time", { isEveryBehind: true, notBefore: 1_020 }, wait(20)],
  ["what was asked for is done at once, also while memory is full", { asked: true, hasRoom: false }, SWEEP],
  ["what was asked for waits for its time after a failure", { asked: true, notBefore: 1_200 }, wait(200)],
  ["a due time that is to come is waited for", { dueAt: 1_300 }, wait(300)],
  ["rows that are due one after the other are read together", { dueAt: 990, sweptAt: 980 }, wait(30)],
  ["a due time that has come is followed", { dueAt: 990 }, SWEEP],
  ["a lane that could take more is read soon after the last sweep", { wanted: true, sweptAt: 995 }, wait(5)],
  [
    "a lane that could take more waits for 100 ms while memory is full",
    { wanted: true, sweptAt: 995, hasRoom: false },
    wait(95),
  ],
  ["sweeps take no more than a third of the time", { wanted: true, sweptAt: 995, sweepMs: 40 }, wait(75)],
  [
    "P6: nor than a twentieth where what is queued lasts for seconds",
    { wanted: true, isStocked: true, sweptAt: 995, sweepMs: 40 },
    wait(755),
  ],
  [
    "P6: a lane that is to be read soon need not wait longer where what is queued lasts for seconds",
    { wanted: true, wantedSoon: true, isStocked: true, sweptAt: 995, sweepMs: 40 },
    wait(75),
  ],
  ["a stall of the stream that is to come is waited for", { stalledSince: 1_040 }, wait(40)],
  ["while the stream is stalled the outbox is swept each 25 ms", { stalledSince: 500, sweptAt: 990 }, wait(15)],
  [
    "while the stream is stalled long sweeps take no more than half of the time",
    { stalledSince: 500, sweptAt: 990, sweepMs: 30 },
    wait(20),
  ],
  [
    "P6: while the stream is stalled it is swept so often where every lane is behind, too",
    { isEveryBehind: true, stalledSince: 500, sweptAt: 990, sweepMs: 30 },
    wait(20),
  ],
  [
    "without a limit on the rate it is swept at once where every lane is behind, also while the stream is stalled",
    { isEveryBehind: true, isLimited: false, stalledSince: 500, sweptAt: 990, sweepMs: 30 },
    SWEEP,
  ],
  [
    "while every lane is behind a stall that is to come delays nothing",
    { isEveryBehind: true, stalledSince: 1_040 },
    SWEEP,
  ],
  ["the earliest of all reasons counts", { dueAt: 1_300, stalledSince: 1_040, checkAt: 1_200 }, wait(40)],
  ["a check that is due is made", { checkAt: 1_000, dueAt: 1_300 }, CHECK],
  ["a sweep comes before a check", { checkAt: 1_000, asked: true }, SWEEP],
  ["a check is waited for", { checkAt: 1_060 }, wait(60)],
];

test.for(steps)("%s", ([, state, step]) => {
  expect(nextStep({ ...IDLE, ...state })).toEqual(step);
});
