import type { Random } from "./random.ts";

/** What some histories have in common: faults and a pace that are dangerous together, and that chance seldom brings together. */
export interface Theme {
  /** Kinds of faults by name; null draws them. */
  readonly faults: readonly string[] | null;
  /** Of the steps so many are faults. */
  readonly faulty: number;
  /** Steps, and the time between two of them in milliseconds. */
  readonly steps: readonly [least: number, most: number];
  readonly paceMs: readonly [least: number, most: number];
  /** Of the requests so many are deferred by their callers. */
  readonly deferred: number;
  /** Of the transactions so many are a flood. */
  readonly floods: number;
  /** Requests of a flood. */
  readonly floodRows: readonly [least: number, most: number];
  /** Destinations answer after, in milliseconds. */
  readonly answersMs: readonly [least: number, most: number];
  readonly standbyMs: readonly number[];
  readonly decodeMs: readonly number[];
  readonly statementMs: readonly number[];
  readonly memoryRequests: readonly number[];
  readonly concurrency: readonly number[];
  readonly perSecond: readonly (number | "unlimited")[];
  readonly daemons: readonly number[];
}

/** Anything may happen. */
const ANY: Theme = {
  faults: null,
  faulty: 0.3,
  steps: [2, 50],
  paceMs: [1, 300],
  deferred: 0.15,
  floods: 0.15,
  floodRows: [3, 40],
  answersMs: [1, 2_000],
  standbyMs: [0, 20, 300, 2_000],
  decodeMs: [0.3, 3, 100, 500],
  statementMs: [0.3, 3, 60, 500],
  memoryRequests: [8, 16, 30, 1_000],
  concurrency: [2, 8, 64],
  perSecond: [5, 50, 200, "unlimited"],
  daemons: [1, 1, 2],
};

const QUICK = { perSecond: [200, "unlimited"], concurrency: [64], memoryRequests: [1_000] } as const;

/** Each is as likely as the others; what anything may happen in is as likely as half of them. */
const THEMES: readonly Theme[] = [
  // Commits that are decoded, and confirmed, long before they are visible, around cuts.
  {
    ...ANY,
    ...QUICK,
    faults: ["cut stream", "elsewhere"],
    faulty: 0.4,
    steps: [2, 14],
    paceMs: [3, 100],
    deferred: 0,
    floods: 0,
    answersMs: [1, 30],
    standbyMs: [300, 2_000],
    decodeMs: [3, 500],
    statementMs: [0.3, 60],
  },
  // Memory that is full.
  {
    ...ANY,
    faults: ["wake", "cancel"],
    faulty: 0.15,
    steps: [3, 20],
    paceMs: [3, 100],
    deferred: 0,
    floods: 0.4,
    answersMs: [100, 3_000],
    statementMs: [60, 500],
    memoryRequests: [8, 12, 16, 24],
    concurrency: [2, 4],
    perSecond: [50, "unlimited"],
    daemons: [1],
  },
  // One flood, that just fits or just does not, and nothing afterwards that would have the outbox read once more.
  {
    ...ANY,
    faults: [],
    steps: [1, 5],
    paceMs: [3, 100],
    deferred: 0,
    floods: 0.7,
    floodRows: [3, 12],
    answersMs: [100, 2_000],
    standbyMs: [0],
    statementMs: [60, 500],
    memoryRequests: [8, 10],
    concurrency: [2],
    perSecond: [50, "unlimited"],
    daemons: [1],
  },
  // Ids that are given again.
  {
    ...ANY,
    ...QUICK,
    faults: ["failover", "failover", "truncate"],
    faulty: 0.15,
    steps: [3, 25],
    paceMs: [5, 200],
    deferred: 0,
    floods: 0,
    answersMs: [100, 3_000],
    standbyMs: [0, 20],
    statementMs: [0.3, 60],
    daemons: [1],
  },
  // Deferred requests that sweeps do not see yet.
  {
    ...ANY,
    ...QUICK,
    faults: ["wake", "cancel"],
    faulty: 0.2,
    steps: [1, 10],
    paceMs: [5, 300],
    deferred: 0.7,
    floods: 0,
    answersMs: [1, 30],
    standbyMs: [300, 2_000],
    statementMs: [60, 500],
    daemons: [1],
  },
  // A leader that hears nothing, and another.
  {
    ...ANY,
    ...QUICK,
    faults: ["stall stream", "stall stream", "pause", "kill", "stop"],
    faulty: 0.06,
    steps: [20, 60],
    paceMs: [80, 300],
    answersMs: [1, 3_000],
    floods: 0,
    standbyMs: [0, 20],
    decodeMs: [0.3, 3],
    statementMs: [0.3, 3],
    daemons: [2],
  },
  // Limits of hosts that change.
  {
    ...ANY,
    faults: ["settings", "settings", "settings", "cut stream", "failover", "host"],
    perSecond: [50, "unlimited"],
    concurrency: [8, 64],
    steps: [10, 50],
    floods: 0.3,
    answersMs: [1, 1_000],
  },
];

/** Draws one. */
export function drawTheme(random: Random): Theme {
  return random.chance(1 / 3) ? ANY : random.pick(THEMES);
}
