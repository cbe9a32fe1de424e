import type { HostBehaviour } from "./destinations.ts";
import type { History, HistorySettings } from "./history.ts";
import { Random, subSeed } from "./random.ts";
import type { RequestShape } from "./server/database.ts";
import type { Act, Step } from "./steps.ts";
import { drawTheme, type Theme } from "./themes.ts";

type Draw = (random: Random, hosts: readonly string[], theme: Theme) => Act;

function shape(random: Random, hosts: readonly string[], { deferred }: Theme): RequestShape {
  const isRetried = random.chance(0.15);
  return {
    host: random.pick(hosts),
    lane: random.chance(0.15) ? random.pick(["one", "two"]) : null,
    failures: isRetried ? random.int(1, 3) : 0,
    maxAttempts: isRetried ? random.int(1, 4) : 1,
    delayMs: random.chance(deferred) ? Math.round(random.scale(5, 3_000)) : null,
    bodyBytes: random.chance(0.1) ? random.int(1, 20_000) : 0,
    timeoutMs: random.int(200, 4_000),
  };
}

/** Some transactions are a flood to one destination. */
function rows(random: Random, hosts: readonly string[], theme: Theme): readonly RequestShape[] {
  if (!random.chance(theme.floods)) return Array.from({ length: random.int(1, 3) }, () => shape(random, hosts, theme));
  const some = random.chance(0.5) ? hosts : [random.pick(hosts)];
  const isPlain = random.chance(0.7);
  return Array.from({ length: Math.round(random.scale(...theme.floodRows)) }, () => {
    const one = shape(random, some, theme);
    return isPlain ? { ...one, lane: null, delayMs: null, bodyBytes: 0 } : one;
  });
}

const INSERT: Draw = (random, hosts, theme) => ({
  kind: "insert",
  rows: rows(random, hosts, theme),
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
  "stall stream": (random) => ({
    kind: "stall",
    what: "stream",
    which: random.int(0, 3),
    ms: Math.round(random.scale(1_000, 12_000)),
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
  failover: (random) => ({ kind: "failover", lost: random.int(0, 8), ms: Math.round(random.scale(1, 3_000)) }),
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
  const theme = drawTheme(random);
  const hosts = Object.fromEntries(
    Array.from({ length: random.int(1, 4) }, (_, index) => [`h${index}.test`, behaviour(random, theme)]),
  );
  const names = Object.keys(hosts);
  const faults = faultsOf(random, theme);
  const steps: Step[] = [];
  const pace = random.scale(...theme.paceMs);
  for (let count = Math.round(random.scale(...theme.steps)); count > 0; count--) {
    const act = faults.length > 0 && random.chance(theme.faulty) ? random.pick(faults) : INSERT;
    steps.push({ afterMs: Math.round(random.next() * 2 * pace), act: act(random, names, theme) });
  }
  return {
    seed,
    settings: settings(random, theme),
    profile: {
      latency: { leastMs: 0.05, mostMs: random.pick([0.3, 3, 30]) },
      statementMs: random.pick(theme.statementMs),
      decodeMs: random.pick(theme.decodeMs),
      standbyMs: random.pick(theme.standbyMs),
      mostLanes: random.pick([3, 1_000]),
    },
    hosts,
    daemons: random.pick(theme.daemons),
    hasSlot: random.chance(0.6),
    toTheEnd: random.chance(0.2),
    steps,
  };
}

/** Some kinds alone: faults that are always on hide each other. */
function faultsOf(random: Random, { faults }: Theme): readonly Draw[] {
  const share = random.pick([0.1, 0.25]);
  return Object.entries(FAULTS).flatMap(([name, fault]) =>
    (faults === null ? random.chance(share) : faults.includes(name)) ? [fault] : [],
  );
}

function behaviour(random: Random, theme: Theme): HostBehaviour {
  const isDead = random.chance(0.1);
  return {
    answersMs: isDead ? null : random.scale(...theme.answersMs),
    refuses: random.chance(0.05),
    answerBytes: random.chance(0.2) ? random.int(1, 60_000) : 10,
  };
}

function settings(random: Random, theme: Theme): HistorySettings {
  const concurrency = random.pick(theme.concurrency);
  return {
    memoryRequests: random.pick(theme.memoryRequests),
    memoryBytes: random.pick([20_000, 1 << 20]),
    perSecond: random.pick(theme.perSecond),
    concurrency,
    hostConcurrency: random.pick([1, concurrency]),
    answerBytes: 4 << 20,
    temporarySlot: random.chance(0.15),
  };
}
