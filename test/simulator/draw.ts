import type { HostBehaviour } from "./destinations.ts";
import type { History, HistorySettings } from "./history.ts";
import { Random, subSeed } from "./random.ts";
import type { RequestShape } from "./server/database.ts";
import type { Act, Step } from "./steps.ts";

type Draw = (random: Random, hosts: readonly string[]) => Act;

function shape(random: Random, hosts: readonly string[]): RequestShape {
  const isRetried = random.chance(0.15);
  return {
    host: random.pick(hosts),
    lane: random.chance(0.15) ? random.pick(["one", "two"]) : null,
    failures: isRetried ? random.int(1, 3) : 0,
    maxAttempts: isRetried ? random.int(1, 4) : 1,
    delayMs: random.chance(0.15) ? Math.round(random.scale(5, 3_000)) : null,
    bodyBytes: random.chance(0.1) ? random.int(1, 20_000) : 0,
    timeoutMs: random.int(200, 3_000),
  };
}

/** Some transactions are a flood to one destination. */
function rows(random: Random, hosts: readonly string[]): readonly RequestShape[] {
  if (!random.chance(0.15)) return Array.from({ length: random.int(1, 3) }, () => shape(random, hosts));
  const some = random.chance(0.5) ? hosts : [random.pick(hosts)];
  const isPlain = random.chance(0.7);
  return Array.from({ length: Math.round(random.scale(3, 40)) }, () => {
    const one = shape(random, some);
    return isPlain ? { ...one, lane: null, delayMs: null, bodyBytes: 0 } : one;
  });
}

const INSERT: Draw = (random, hosts) => ({
  kind: "insert",
  rows: rows(random, hosts),
  openMs: random.chance(0.5) ? 0.1 : Math.round(random.scale(1, 1_000)),
  commits: random.chance(0.9),
  flushMs: random.chance(0.1) ? random.int(1, 600) : null,
  decodeMs: 0,
});

/** Kinds of faults, by name: each history has some of them. */
const FAULTS: Readonly<Record<string, Draw>> = {
  elsewhere: (random) => ({
    kind: "elsewhere",
    openMs: Math.round(random.scale(1, 2_000)),
    decodeMs: random.chance(0.3) ? Math.round(random.scale(10, 3_000)) : 0,
  }),
  cancel: (random) => ({
    kind: "cancel",
    which: random.int(0, 20),
    openMs: Math.round(random.scale(1, 2_000)),
    commits: random.chance(0.7),
  }),
  truncate: (random) => ({ kind: "truncate", restartIdentity: random.chance(0.5) }),
  "cut stream": (random) => ({ kind: "reset", what: "stream", which: random.int(0, 3) }),
  "cut pool": (random) => ({ kind: "reset", what: random.pick(["pool", "all"]), which: random.int(0, 3) }),
  stall: (random) => ({
    kind: "stall",
    what: random.pick(["stream", "pool", "all"]),
    which: random.int(0, 3),
    ms: Math.round(random.scale(50, 20_000)),
  }),
  "lose answers": (random) => ({ kind: "lose answers", count: random.int(1, 3) }),
  "writes fail": (random) => ({
    kind: "writes fail",
    sqlstate: random.pick(["53100", "25006", "40P01"]),
    ms: Math.round(random.scale(10, 5_000)),
  }),
  "reads fail": (random) => ({ kind: "reads fail", ms: Math.round(random.scale(10, 5_000)) }),
  "lose slot": (random) => ({ kind: "lose slot", how: random.pick(["dropped", "invalidated"]) }),
  publication: () => ({ kind: "publication" }),
  "stop server": (random) => ({ kind: "stop server", ms: Math.round(random.scale(1, 3_000)) }),
  failover: (random) => ({ kind: "failover", lost: random.int(0, 3), ms: Math.round(random.scale(1, 3_000)) }),
  kill: (random) => ({ kind: "kill", which: random.int(0, 3), restartMs: Math.round(random.scale(1, 3_000)) }),
  stop: (random) => ({ kind: "stop", which: random.int(0, 3), restartMs: Math.round(random.scale(1, 3_000)) }),
  pause: (random) => ({ kind: "pause", which: random.int(0, 3), ms: Math.round(random.scale(10, 10_000)) }),
  settings: (random, hosts) => ({
    kind: "settings",
    host: random.pick(hosts),
    row: {
      rate_per_second: random.pick([null, 5, 20]),
      concurrency: random.pick([null, 1, 3]),
      paused: random.chance(0.3),
    },
    openMs: Math.round(random.scale(1, 100)),
  }),
  wake: () => ({ kind: "wake" }),
  restart: () => ({ kind: "restart" }),
  host: (random, hosts) => ({
    kind: "host",
    host: random.pick(hosts),
    answersMs: random.chance(0.3) ? null : random.scale(1, 2_000),
    refuses: random.chance(0.2),
  }),
  shortage: (random) => ({ kind: "shortage", ms: Math.round(random.scale(10, 5_000)) }),
};

/** Draws the history of a seed. */
export function draw(seed: number): History {
  const random = new Random(subSeed(seed, 0));
  const hosts = Object.fromEntries(
    Array.from({ length: random.int(1, 4) }, (_, index) => [`h${index}.test`, behaviour(random)]),
  );
  const names = Object.keys(hosts);
  // Faults that are always on hide each other.
  const share = random.pick([0.1, 0.25]);
  const faults = Object.values(FAULTS).filter(() => random.chance(share));
  const faulty = random.pick([0.15, 0.4]);
  const steps: Step[] = [];
  const pace = random.scale(1, 300);
  for (let count = Math.round(random.scale(2, 50)); count > 0; count--) {
    const act = faults.length > 0 && random.chance(faulty) ? random.pick(faults) : INSERT;
    steps.push({ afterMs: Math.round(random.next() * 2 * pace), act: act(random, names) });
  }
  return {
    seed,
    settings: settings(random),
    profile: {
      latency: { leastMs: 0.05, mostMs: random.pick([0.3, 3, 30]) },
      statementMs: random.pick([0.3, 3, 60, 500]),
      decodeMs: random.pick([0.3, 3, 100, 500]),
      standbyMs: random.pick([0, 20, 300, 2_000]),
      mostLanes: random.pick([3, 1_000]),
    },
    hosts,
    daemons: random.pick([1, 1, 2]),
    hasSlot: random.chance(0.6),
    toTheEnd: random.chance(0.25),
    steps,
  };
}

function behaviour(random: Random): HostBehaviour {
  const isDead = random.chance(0.1);
  return {
    answersMs: isDead ? null : random.scale(1, 2_000),
    refuses: random.chance(0.05),
    answerBytes: random.chance(0.2) ? random.int(1, 60_000) : 10,
  };
}

function settings(random: Random): HistorySettings {
  const concurrency = random.pick([2, 8, 64]);
  return {
    memoryRequests: random.pick([8, 16, 30, 1_000]),
    memoryBytes: random.pick([20_000, 1 << 20]),
    perSecond: random.pick([5, 50, 200, "unlimited"]),
    concurrency,
    hostConcurrency: random.pick([1, concurrency]),
    answerBytes: 4 << 20,
    temporarySlot: random.chance(0.15),
  };
}
