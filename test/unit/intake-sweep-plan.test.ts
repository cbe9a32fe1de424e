import { expect, test } from "vitest";
import { canBeNamed, planSweep, type SweepState } from "../../src/intake/sweep-plan.ts";
import type { SweepRoom } from "../../src/outbox/sweep.ts";

const KNOWN = [{ id: 7n, created: "2026-11-21 09:20:32.115484+00" }];
const ROOM = { rows: 501, bytes: 1_000, largest: 1_000, perLane: 10, authorities: [], shares: [] };
const SENDER = {
  room: ROOM,
  /** Lane "full" has no room. */
  roomOf: (lanes: Iterable<string>): SweepRoom => ({
    ...ROOM,
    shares: [...lanes].filter((lane) => lane !== "full").map((lane) => ({ lane, queued: 3, room: 7 })),
  }),
  preferred: ["responsive", "full"],
  known: KNOWN,
  isLimited: true,
};
const BEHIND = { lanes: ["slow", "full"], count: 2, has: (lane: string) => lane === "slow" || lane === "full" };
const EVERY = { lanes: [], count: "every", has: () => true } as const;
/** Stalled at 1,000. */
const STALLED: SweepState = {
  now: 1_050,
  sender: SENDER,
  behind: BEHIND,
  from: Buffer.from("m"),
  stalledSince: 1_000,
};

test.each<[what: string, state: Partial<SweepState>, bounds: { lanes: number; rows: number }]>([
  ["one before a stall that is to come", { now: 999 }, { lanes: 5_000, rows: 501 }],
  ["one without a stall", { stalledSince: null }, { lanes: 5_000, rows: 501 }],
  ["one without a limit on the rate", { sender: { ...SENDER, isLimited: false } }, { lanes: 5_000, rows: 501 }],
  ["one in a stall while every lane is behind", { behind: EVERY }, { lanes: 50, rows: 101 }],
  ["one in a stall while many are", { behind: { ...BEHIND, count: 2_001 } }, { lanes: 50, rows: 101 }],
])("P6: how much a sweep of every lane reads: %s", (_what, state, bounds) => {
  const plan = { ...ROOM, ...bounds, from: STALLED.from, known: KNOWN };
  expect(planSweep("every", { ...STALLED, ...state })).toEqual({ plan, lanes: "every", readsBehind: true });
});

test("P6: a sweep of every lane in a stall brings few rows, and leaves lanes that are behind to sweeps of their own", () => {
  const shares = ["slow", "other"].map((lane) => ({ lane, queued: 3, room: 7 }));
  const { plan, lanes, readsBehind } = planSweep("every", {
    ...STALLED,
    now: 1_000,
    sender: { ...SENDER, room: { ...ROOM, shares } },
  });
  const left = ["slow", "full"].map((lane) => ({ lane, queued: 0, room: 0 }));
  const bounds = { lanes: 5_000, rows: 101, shares: [{ lane: "other", queued: 3, room: 7 }, ...left] };
  expect([lanes, readsBehind, plan]).toEqual([
    "every",
    false,
    { ...ROOM, ...bounds, from: STALLED.from, known: KNOWN },
  ]);
});

test("P6: a sweep of those that are behind reads fifty of them in a stall, of which least is queued, and none of responsive hosts", () => {
  const lanes = Array.from({ length: 60 }, (_, lane) => `l${lane}`);
  const roomOf = (read: Iterable<string>): SweepRoom => ({
    ...ROOM,
    shares: [...read].map((lane, index) => ({ lane, queued: 60 - index, room: 7 })),
  });
  const behind = { ...BEHIND, lanes: [...lanes, "responsive"] };
  const state = { ...STALLED, behind, sender: { ...SENDER, roomOf } };
  const read = [...planSweep("behind", state).plan.shares].map(({ lane }) => lane);
  expect(read).toEqual(lanes.toReversed().slice(0, 50));
  expect(planSweep("behind", { ...state, stalledSince: null }).plan.shares).toHaveLength(61);
});

test("P2: lanes whose names no client can read are found by sweeps of every lane alone", () => {
  expect([["a", "b c"], ["a", ""], ["m\uFFFDller"]].map((lanes) => canBeNamed(lanes))).toEqual([true, false, false]);
  expect(["a".repeat(255), "é".repeat(127), "é".repeat(128)].map((lane) => canBeNamed([lane]))).toEqual([
    true,
    true,
    false,
  ]);
});

test.each([
  ["behind", "slow"],
  ["preferred", "responsive"],
] as const)(
  "P6: a sweep of the lanes that are %s reads those of them that have room, from the first on",
  (sweeping, lane) => {
    const plan = { ...ROOM, shares: [{ lane, queued: 3, room: 7 }], lanes: "shares", from: null, known: KNOWN };
    expect(planSweep(sweeping, STALLED)).toEqual({ plan, lanes: new Set([lane]), readsBehind: sweeping === "behind" });
  },
);

test("P2: a sweep of responsive hosts leaves lanes whose names no client can read", () => {
  const sender = { ...SENDER, preferred: ["responsive", "", "m\uFFFDller"] };
  expect(planSweep("preferred", { ...STALLED, sender }).lanes).toEqual(new Set(["responsive"]));
});

test("P6: a sweep of responsive hosts reads them all in a stall, though they have less than nothing queued", () => {
  const preferred = Array.from({ length: 60 }, (_, lane) => `l${lane}`);
  const roomOf = (lanes: Iterable<string>): SweepRoom => ({
    ...ROOM,
    shares: [...lanes].map((lane) => ({ lane, queued: -1_000, room: 7 })),
  });
  const { lanes } = planSweep("preferred", { ...STALLED, sender: { ...SENDER, preferred, roomOf } });
  expect(lanes).toEqual(new Set(preferred));
});
