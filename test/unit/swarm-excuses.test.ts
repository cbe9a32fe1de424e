import { expect, test } from "vitest";
import { isExcused } from "../swarm/excuses.ts";
import type { Span } from "../swarm/journal.ts";
import type { Call, Fault, Shape } from "../swarm/steps.ts";

const SHAPE: Shape = {
  destination: 0,
  method: "POST",
  via: "call",
  bodyBytes: 0,
  failures: 0,
  maxAttempts: 1,
  delayMs: null,
  lane: null,
  ownKey: false,
  deduplicated: false,
};

const CALLS = {
  insert: { kind: "insert", transactions: 1, rows: 1, everyMs: 1, openMs: 0, ending: "commit", shape: SHAPE },
  "deduplicated insert": {
    kind: "insert",
    transactions: 1,
    rows: 9,
    everyMs: 1,
    openMs: 0,
    ending: "commit",
    shape: { ...SHAPE, deduplicated: true },
  },
  cancel: { kind: "cancel", onlyDeferred: false, openMs: 0, commits: true },
  truncate: { kind: "truncate" },
  replay: { kind: "replay" },
  "host settings": { kind: "host settings", destination: 0, rate: 10, concurrency: null, paused: false },
  "worker restart": { kind: "worker restart" },
  wake: { kind: "wake" },
} as const satisfies Readonly<Record<string, Call>>;

type Name = keyof typeof CALLS;
const NAMES = Object.keys(CALLS) as readonly Name[];

const CRASH: Fault = { kind: "server crash", forMs: 1_000 };
const spanOf = (fault: Fault): Span => ({ fault, from: 10_000, until: 12_000 });

const contention: Readonly<Record<string, readonly Name[]>> = {
  "40P01": ["deduplicated insert", "cancel", "truncate", "replay"],
  "55P03": ["truncate"],
  "23505": ["replay"],
  P0002: ["replay"],
  "57014": [],
  "42501": [],
  XX000: [],
};

test.for(Object.entries(contention))(
  "with %s only these calls may fail, whatever happens to the server: %j",
  ([sqlstate, names]) => {
    for (const spans of [[], [spanOf(CRASH)]]) {
      const excused = NAMES.filter((name) =>
        isExcused({ call: CALLS[name], sqlstate, from: 10_500, until: 11_000 }, spans),
      );
      expect(excused).toEqual(names);
    }
  },
);

const times: readonly (readonly [when: string, from: number, until: number, isExcused: boolean])[] = [
  ["before it", 8_000, 9_999, false],
  ["when it begins", 8_000, 10_000, true],
  ["in it", 11_000, 11_001, true],
  ["throughout", 9_000, 13_000, true],
  ["soon after it", 21_000, 21_500, true],
  ["long after it", 22_001, 22_002, false],
];

test.for(times)(
  "a call that loses its connection to a stop of the server %s: from %i to %i, excused: %s",
  ([, from, until, expected]) => {
    for (const fault of [CRASH, { kind: "server restart", forMs: 0 } as const]) {
      for (const sqlstate of [null, "57P01", "57P02", "57P03", "08006"]) {
        expect(isExcused({ call: CALLS.insert, sqlstate, from, until }, [spanOf(fault)])).toBe(expected);
      }
    }
  },
);

test("a stop that lasts excuses what fails meanwhile; a fault that leaves the server alone excuses nothing", () => {
  const failed = { call: CALLS.insert, sqlstate: null, from: 90_000, until: 90_001 };
  expect(isExcused(failed, [{ ...spanOf(CRASH), until: Infinity }])).toBe(true);
  expect(isExcused(failed, [{ ...spanOf({ kind: "drop slot", forMs: 0 }), until: Infinity }])).toBe(false);
});
