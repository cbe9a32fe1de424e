import { Random, subSeed } from "../simulator/random.ts";
import { drawSettings, type Settings } from "./settings.ts";
import {
  type Call,
  type Ending,
  type Fault,
  type FaultKind,
  isMisconduct,
  type Misconduct,
  type Shape,
  type Step,
} from "./steps.ts";

/** What happens in one run: follows from its seed alone. */
export interface Plan {
  readonly seed: number;
  readonly settings: Settings;
  /** Kinds of calls, features of requests and kinds of faults that may be in it. */
  readonly calls: readonly CallKind[];
  readonly features: readonly Feature[];
  readonly faults: readonly FaultKind[];
  /** Of requests, in milliseconds. */
  readonly timeoutMs: number;
  /** In the order of their times. */
  readonly steps: readonly Step[];
}

interface Drawing {
  readonly random: Random;
  readonly settings: Settings;
  readonly features: readonly Feature[];
  /** Requests that may still be made, so that everything drains in time. */
  budget: number;
}

/** What may be special about a request. */
export const FEATURES = [
  "retries",
  "delays",
  "lanes",
  "own keys",
  "deduplication",
  "large bodies",
  "get",
  "put",
  "direct inserts",
] as const;

/** One of `FEATURES`. */
export type Feature = (typeof FEATURES)[number];

const MOST_BYTES = 5_000_000;

function insert(
  drawing: Drawing,
  rows: number,
  parts: { transactions?: number; openMs?: number; ending?: Ending },
): Call {
  const { random } = drawing;
  const { openMs = 0, ending = "commit" } = parts;
  const made = shape(drawing);
  const transactions = Math.max(1, Math.min(parts.transactions ?? 1, Math.floor(drawing.budget / 2)));
  // No call takes more than half of what is left, nor so many bytes that sending them takes longer than a run.
  const most = Math.min(drawing.budget / 2, MOST_BYTES / Math.max(1, made.bodyBytes)) / transactions;
  const fitting = Math.max(1, Math.min(rows, Math.floor(most)));
  drawing.budget = Math.max(0, drawing.budget - fitting * transactions);
  return { kind: "insert", transactions, rows: fitting, everyMs: random.int(1, 20), openMs, ending, shape: made };
}

/** What callers do. */
export const CALLS = {
  "single inserts": (drawing) => insert(drawing, 1, { transactions: drawing.random.int(10, 200) }),
  "large transaction": (drawing) => insert(drawing, Math.round(drawing.random.scale(100, 3_000)), {}),
  savepoint: (drawing) => insert(drawing, drawing.random.int(2, 40), { ending: "savepoint" }),
  rollback: (drawing) => insert(drawing, drawing.random.int(1, 60), { ending: "rollback" }),
  "open transaction": (drawing) =>
    insert(drawing, drawing.random.int(1, 30), { openMs: drawing.random.int(100, 4_000) }),
  "prepared transaction": (drawing) =>
    insert(drawing, drawing.random.int(1, 30), { openMs: drawing.random.int(1, 2_000), ending: "prepared" }),
  "asynchronous commits": (drawing) =>
    insert(drawing, 2, { transactions: drawing.random.int(3, 30), ending: "asynchronous" }),
  cancel: ({ random }) => ({
    kind: "cancel",
    onlyDeferred: false,
    openMs: random.chance(0.5) ? 0 : random.int(10, 2_000),
    commits: random.chance(0.7),
  }),
  "cancel deferred": () => ({ kind: "cancel", onlyDeferred: true, openMs: 0, commits: true }),
  truncate: () => ({ kind: "truncate" }),
  replay: () => ({ kind: "replay" }),
  "host settings": ({ random, settings }) => ({
    kind: "host settings",
    destination: random.int(0, settings.destinations - 1),
    rate: random.pick([null, 10, 50]),
    concurrency: random.pick([null, 1, 5]),
    paused: random.chance(0.3),
  }),
  "worker restart": () => ({ kind: "worker restart" }),
  wake: () => ({ kind: "wake" }),
} as const satisfies Record<string, (drawing: Drawing) => Call>;

/** A key of `CALLS`. */
export type CallKind = keyof typeof CALLS;

const which = ({ random, settings }: Drawing): number => random.int(0, settings.daemons - 1);
const connections = ({ random }: Drawing) => random.pick(["replication", "sql", "all"] as const);

const misconduct =
  (kind: Misconduct) =>
  ({ random, settings }: Drawing): Fault => ({
    kind,
    forMs: random.int(200, 3_000),
    destination: random.int(0, settings.destinations - 1),
    share: random.pick([0.1, 0.5, 1]),
  });

/** What goes wrong. */
export const FAULTS: { readonly [Kind in FaultKind]: (drawing: Drawing) => Fault } = {
  kill: (drawing) => ({ kind: "kill", forMs: drawing.random.int(0, 1_500), daemon: which(drawing) }),
  stop: (drawing) => ({ kind: "stop", forMs: drawing.random.int(0, 1_500), daemon: which(drawing) }),
  pause: (drawing) => ({
    kind: "pause",
    forMs: Math.round(drawing.random.scale(100, 6_000)),
    daemon: which(drawing),
  }),
  "server crash": ({ random }) => ({ kind: "server crash", forMs: random.int(0, 2_000) }),
  "server restart": ({ random }) => ({ kind: "server restart", forMs: random.int(0, 1_000) }),
  cut: (drawing) => ({ kind: "cut", forMs: 0, daemon: which(drawing), connections: connections(drawing) }),
  "half-open": (drawing) => ({
    kind: "half-open",
    forMs: 0,
    daemon: which(drawing),
    connections: connections(drawing),
  }),
  "cut off": (drawing) => ({
    kind: "cut off",
    forMs: Math.round(drawing.random.scale(100, 6_000)),
    daemon: which(drawing),
    connections: connections(drawing),
  }),
  "end walsender": () => ({ kind: "end walsender", forMs: 0 }),
  "end pool": () => ({ kind: "end pool", forMs: 0 }),
  "drop slot": () => ({ kind: "drop slot", forMs: 0 }),
  "row locks": ({ random }) => ({ kind: "row locks", forMs: random.int(100, 3_000) }),
  snapshot: ({ random }) => ({ kind: "snapshot", forMs: random.int(500, 5_000) }),
  "absent standby": ({ random }) => ({ kind: "absent standby", forMs: random.int(300, 3_000) }),
  refuse: misconduct("refuse"),
  hang: misconduct("hang"),
  late: misconduct("late"),
  lose: misconduct("lose"),
  garbage: misconduct("garbage"),
  reset: misconduct("reset"),
  close: misconduct("close"),
  slow: misconduct("slow"),
  busy: misconduct("busy"),
  "large answer": misconduct("large answer"),
};

/** Drawn more often than others: with them the most can be lost or repeated. */
const OFTEN = ["kill", "kill", "pause", "cut", "half-open", "cut off", "server crash", "drop slot"] as const;
/** Ways to go half-open that the network of one daemon has. */
const MOST_HALF_OPEN = 2;
const TRAFFIC_MS = 8_000;

/** Draws the plan of a seed. */
export function draw(seed: number): Plan {
  const random = new Random(subSeed(seed, 0));
  const settings = drawSettings(random);
  const faults = some(
    random,
    [...(Object.keys(FAULTS) as FaultKind[]), ...OFTEN],
    random.pick([0, 1, 1, 2, 2, 3, 4, 6]),
  );
  const kinds = some(random, Object.keys(CALLS) as CallKind[], random.int(2, 7));
  // With a crash of the server, what was not on disk is lost in honour: nobody can say which.
  const calls: CallKind[] = kinds.filter((kind) => kind !== "asynchronous commits" || !faults.includes("server crash"));
  if (!calls.includes("single inserts")) calls.push("single inserts");
  const features = FEATURES.filter(() => random.chance(0.3));
  const drawing = { random, settings, features, budget: budgetOf(settings) };
  const steps: Step[] = [];
  const at = (): number => random.int(0, TRAFFIC_MS);
  for (let count = random.int(8, 25); count > 0; count--) {
    const kind = random.chance(0.3) ? "single inserts" : random.pick(calls);
    steps.push({ atMs: at(), is: "call", call: CALLS[kind](drawing) });
  }
  let halfOpen = 0;
  for (let count = faults.length === 0 ? 0 : random.int(1, 3 + faults.length); count > 0; count--) {
    const fault = FAULTS[random.pick(faults)](drawing);
    if (fault.kind === "half-open" && ++halfOpen > MOST_HALF_OPEN) continue;
    const atMs = at();
    // Traffic before, while and after it happens.
    const beforeMs = Math.max(0, atMs - random.int(0, 1_000));
    steps.push({ atMs: beforeMs, is: "call", call: CALLS["single inserts"](drawing) }, { atMs, is: "fault", fault });
    if (fault.kind === "absent standby") steps.push(waitingCommit(drawing, atMs));
  }
  steps.sort((a, b) => a.atMs - b.atMs);
  const isQuick = steps.some((step) => step.is === "fault" && isMisconduct(step.fault));
  return { seed, settings, calls, features, faults, timeoutMs: isQuick ? random.int(800, 2_500) : 30_000, steps };
}

/** What drains within seconds on a busy machine, too. */
function budgetOf(settings: Settings): number {
  const { perSecond, concurrency, hostConcurrency, destinations, answersMs, memoryRequests } = settings;
  const inFlight = Math.min(concurrency, hostConcurrency * destinations);
  const most = memoryRequests < 50 ? 300 : inFlight < 10 ? 1_000 : 5_000;
  const rate = Math.min(perSecond === "unlimited" ? Infinity : perSecond, (inFlight / Math.max(1, answersMs)) * 1_000);
  return Math.round(Math.min(most, rate * 8));
}

/** A commit that waits for the standby which has just become absent. */
function waitingCommit(drawing: Drawing, afterMs: number): Step {
  const call = insert(drawing, drawing.random.int(1, 40), { ending: "synchronous" });
  return { atMs: afterMs + drawing.random.int(100, 1_000), is: "call", call };
}

function some<T>(random: Random, list: readonly T[], count: number): readonly T[] {
  const left = [...list];
  const picked: T[] = [];
  while (picked.length < count && left.length > 0) {
    picked.push(...left.splice(random.int(0, left.length - 1), 1));
  }
  return [...new Set(picked)];
}

function shape({ random, settings, features }: Drawing): Shape {
  const has = (feature: Feature, share: number): boolean => features.includes(feature) && random.chance(share);
  const isRetried = has("retries", 0.5);
  const via = !isRetried && has("direct inserts", 0.4) ? "insert" : "call";
  const method = has("get", 0.4) ? "GET" : has("put", 0.4) ? "PUT" : "POST";
  const isPlain = via === "insert" || isRetried;
  return {
    destination: random.int(0, settings.destinations - 1),
    method,
    via,
    bodyBytes:
      method === "GET" ? 0 : has("large bodies", 0.3) ? Math.round(random.scale(1_000, 100_000)) : random.int(0, 100),
    failures: isRetried ? random.int(0, 4) : 0,
    maxAttempts: isRetried ? random.int(2, 4) : 1,
    delayMs: via === "call" && has("delays", 0.5) ? Math.round(random.scale(50, 8_000)) : null,
    lane: via === "call" && has("lanes", 0.5) ? random.pick(["one", "two"]) : null,
    ownKey: method !== "GET" && has("own keys", 0.4),
    deduplicated: !isPlain && has("deduplication", 0.4),
  };
}
