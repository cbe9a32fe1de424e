import { expect, test } from "vitest";
import { nextStep, type ScheduleState, type Step, type SweepTime } from "../../src/intake/schedule.ts";

const AT_ONCE = { every: 0, behind: 0, preferred: 0 };
const LAST: SweepTime = { at: 900, ms: 4 };

/** The last sweeps where those that are given ended so. */
function swept(given: Partial<ScheduleState["swept"]>): Pick<ScheduleState, "swept"> {
  return { swept: { every: LAST, behind: LAST, preferred: LAST, ...given } };
}

/** Live and idle at 1,000: the last sweep ended at 900, having taken 4 ms. */
const IDLE: ScheduleState = {
  reading: "streaming",
  now: 1_000,
  hasRoom: true,
  isLimited: true,
  isStocked: false,
  lanesBehind: 3,
  swept: { every: LAST, behind: LAST, preferred: LAST },
  notBefore: AT_ONCE,
  dueAt: null,
  lookAt: null,
  asked: false,
  wanted: false,
  wantedSoon: false,
  stalledSince: null,
  checkAt: null,
};

const SWEEP: Step = { kind: "sweep", of: "every" };
const OF_BEHIND: Step = { kind: "sweep", of: "behind" };
const OF_PREFERRED: Step = { kind: "sweep", of: "preferred" };
const CHECK: Step = { kind: "check" };
const wait = (ms: number | null): Step => ({ kind: "wait", ms });

const steps: readonly (readonly [name: string, state: Partial<ScheduleState>, step: Step])[] = [
  ["P8: without work the reader of the outbox waits without end", {}, wait(null)],
  [
    "who does not lead reads nothing, whatever there is to do",
    { reading: "none", asked: true, lanesBehind: "every" },
    wait(null),
  ],
  ["without a stream the outbox is swept each second", { reading: "polling" }, wait(900)],
  [
    "without a stream it is swept when the second is over",
    { reading: "polling", ...swept({ every: { at: 0, ms: 4 } }) },
    SWEEP,
  ],
  ["while every lane is behind it is swept at once", { lanesBehind: "every" }, SWEEP],
  [
    "while every lane is behind and memory is full it is swept 100 ms after the last",
    { lanesBehind: "every", hasRoom: false, ...swept({ every: { at: 950, ms: 4 } }) },
    wait(50),
  ],
  [
    "without a limit on the rate, and with much queued, it is swept for a quarter of the time while every lane is behind",
    { lanesBehind: "every", isLimited: false, isStocked: true, ...swept({ every: { at: 950, ms: 40 } }) },
    wait(70),
  ],
  [
    "also while memory is full",
    {
      lanesBehind: "every",
      hasRoom: false,
      isLimited: false,
      isStocked: true,
      ...swept({ every: { at: 950, ms: 40 } }),
    },
    wait(70),
  ],
  [
    "but 100 ms after the last at the earliest then",
    {
      lanesBehind: "every",
      hasRoom: false,
      isLimited: false,
      isStocked: true,
      ...swept({ every: { at: 950, ms: 4 } }),
    },
    wait(50),
  ],
  [
    "with a limit on the rate it is swept at once, however much is queued",
    { lanesBehind: "every", isStocked: true, ...swept({ every: { at: 990, ms: 40 } }) },
    SWEEP,
  ],
  [
    "lanes that are behind have a third of the time without a limit on the rate, however much is queued",
    { wanted: true, isLimited: false, isStocked: true, ...swept({ behind: { at: 995, ms: 40 } }) },
    wait(75),
  ],
  [
    "a sweep that failed is not tried again before its time",
    { lanesBehind: "every", notBefore: { ...AT_ONCE, every: 1_020 } },
    wait(20),
  ],
  ["what was asked for is done at once, also while memory is full", { asked: true, hasRoom: false }, SWEEP],
  [
    "what was asked for waits for its time after a failure",
    { asked: true, notBefore: { ...AT_ONCE, every: 1_200 } },
    wait(200),
  ],
  ["a due time that is to come is waited for", { dueAt: 1_300 }, wait(300)],
  [
    "rows that are due one after the other are read together",
    { dueAt: 990, ...swept({ every: { at: 980, ms: 4 } }) },
    wait(30),
  ],
  ["a due time that has come is followed", { dueAt: 990 }, SWEEP],
  [
    "a lane that could take more is read soon after the last sweep",
    { wanted: true, ...swept({ behind: { at: 995, ms: 0 } }) },
    wait(5),
  ],
  [
    "a lane that could take more waits for 100 ms while memory is full",
    { wanted: true, hasRoom: false, ...swept({ behind: { at: 995, ms: 4 } }) },
    wait(95),
  ],
  [
    "sweeps take no more than a third of the time",
    { wanted: true, ...swept({ behind: { at: 995, ms: 40 } }) },
    wait(75),
  ],
  [
    "P6: nor than a twentieth where what is queued lasts for seconds",
    { wanted: true, isStocked: true, ...swept({ behind: { at: 995, ms: 40 } }) },
    wait(755),
  ],
  [
    "P6: a lane that is to be read soon need not wait longer where what is queued lasts for seconds",
    { wanted: true, wantedSoon: true, isStocked: true, ...swept({ behind: { at: 995, ms: 40 } }) },
    wait(75),
  ],
  ["a lane that could take more is read together with the others that are behind", { wanted: true }, OF_BEHIND],
  ["a lane that was given up is looked after at its time", { lookAt: 1_040 }, wait(40)],
  ["a lane that was given up is read together with the others that are behind", { lookAt: 1_000 }, OF_BEHIND],
  ["with 2,000 lanes behind those are read alone", { wanted: true, lanesBehind: 2_000 }, OF_BEHIND],
  ["with more of them every lane is", { wanted: true, lanesBehind: 2_001 }, SWEEP],
  [
    "then the last sweep of every lane is what counts",
    { wanted: true, lanesBehind: 2_001, ...swept({ every: { at: 995, ms: 40 } }) },
    wait(75),
  ],
  ["without a stream every lane is read", { wanted: true, reading: "polling" }, SWEEP],
  ["what every lane is read for brings those that are behind, too", { wanted: true, asked: true }, SWEEP],
  [
    "what was asked for takes no more than a third of the time",
    { asked: true, ...swept({ every: { at: 990, ms: 10 } }) },
    wait(10),
  ],
  ["so do rows that are due one after the other", { dueAt: 990, ...swept({ every: { at: 990, ms: 50 } }) }, wait(90)],
  [
    "P6: sweeps of each kind wait for their own time alone",
    { wanted: true, stalledSince: 500, notBefore: { every: 2_000, behind: 2_000, preferred: 0 } },
    OF_PREFERRED,
  ],
  [
    "P6: while the stream is stalled lanes that are behind are read however often every lane is",
    {
      wanted: true,
      dueAt: 990,
      stalledSince: 500,
      ...swept({ every: { at: 999, ms: 30 }, behind: { at: 900, ms: 30 }, preferred: { at: 999, ms: 4 } }),
    },
    OF_BEHIND,
  ],
  ["a stall of the stream that is to come is waited for", { stalledSince: 1_040 }, wait(40)],
  [
    "P6: while the stream is stalled responsive hosts are swept for each 10 ms",
    { stalledSince: 500, ...swept({ every: { at: 995, ms: 4 } }) },
    wait(5),
  ],
  [
    "P6: while the stream is stalled responsive hosts are swept for before every lane is",
    { stalledSince: 500, ...swept({ every: { at: 980, ms: 4 }, preferred: { at: 990, ms: 4 } }) },
    OF_PREFERRED,
  ],
  [
    "P6: while the stream is stalled sweeps for responsive hosts take no more than half of the time",
    { stalledSince: 500, ...swept({ every: { at: 980, ms: 10 }, preferred: { at: 990, ms: 12 } }) },
    wait(2),
  ],
  [
    "while the stream is stalled every lane is swept each 25 ms",
    { stalledSince: 500, ...swept({ every: { at: 975, ms: 4 }, preferred: { at: 995, ms: 4 } }) },
    SWEEP,
  ],
  [
    "while the stream is stalled sweeps of every lane take no more than a quarter of the time",
    { stalledSince: 500, ...swept({ every: { at: 900, ms: 35 }, preferred: { at: 1_000, ms: 4 } }) },
    wait(5),
  ],
  [
    "without a limit on the rate all rows are wanted soon, and nobody is swept for alone",
    { isLimited: false, stalledSince: 500, ...swept({ every: { at: 995, ms: 4 } }) },
    wait(20),
  ],
  [
    "without a stream nobody is swept for alone",
    { reading: "polling", stalledSince: 500, ...swept({ every: { at: 985, ms: 4 } }) },
    wait(10),
  ],
  [
    "P6: while the stream is stalled it is swept for half of the time where every lane is behind",
    { lanesBehind: "every", stalledSince: 500, ...swept({ every: { at: 990, ms: 30 } }) },
    wait(20),
  ],
  [
    "without a limit on the rate it is swept at once where every lane is behind, also while the stream is stalled",
    { lanesBehind: "every", isLimited: false, stalledSince: 500, ...swept({ every: { at: 990, ms: 30 } }) },
    SWEEP,
  ],
  [
    "while every lane is behind a stall that is to come delays nothing",
    { lanesBehind: "every", stalledSince: 1_040 },
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
