import type { Random } from "../simulator/random.ts";

/** How the server, the daemons and their destinations are set up in one run. */
export interface Settings {
  readonly plugin: "pgoutput" | "wal2json";
  readonly slot: "permanent" | "temporary" | "failover";
  readonly tls: boolean;
  readonly daemons: 1 | 2;
  readonly destinations: number;
  /** How long destinations take to answer. */
  readonly answersMs: number;
  readonly perSecond: number | "unlimited";
  readonly concurrency: number;
  readonly hostConcurrency: number;
  readonly memoryRequests: number;
  readonly memoryBytes: string;
  /** Largest answer, and memory for answers. */
  readonly answers: "default" | "small";
  readonly senderTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly poolSize: number;
  /** Whose commits wait for a synchronous standby. */
  readonly waitForStandby: "callers that ask for it" | "all";
}

/** What each setting is drawn from. */
export const CHOICES = {
  plugin: ["pgoutput", "pgoutput", "pgoutput", "wal2json"],
  slot: ["permanent", "permanent", "temporary", "failover"],
  tls: [false, false, true],
  daemons: [1, 1, 2],
  destinations: [1, 2, 4],
  answersMs: [0, 20, 150, 400],
  perSecond: [40, 100, 400, "unlimited"],
  concurrency: [3, 32, 256],
  hostConcurrency: [2, 16, 64],
  memoryRequests: [10, 60, 500, 10_000],
  memoryBytes: ["1MiB", "64MiB"],
  answers: ["default", "small"],
  senderTimeoutMs: [1_500, 4_000],
  statementTimeoutMs: [1_500, 5_000],
  poolSize: [1, 2, 4],
  waitForStandby: ["callers that ask for it", "all"],
} as const satisfies { readonly [Name in keyof Settings]: readonly Settings[Name][] };

/** Draws the settings of a run. */
export function drawSettings(random: Random): Settings {
  return {
    plugin: random.pick(CHOICES.plugin),
    slot: random.pick(CHOICES.slot),
    tls: random.pick(CHOICES.tls),
    daemons: random.pick(CHOICES.daemons),
    destinations: random.pick(CHOICES.destinations),
    answersMs: random.pick(CHOICES.answersMs),
    perSecond: random.pick(CHOICES.perSecond),
    concurrency: random.pick(CHOICES.concurrency),
    hostConcurrency: random.pick(CHOICES.hostConcurrency),
    memoryRequests: random.pick(CHOICES.memoryRequests),
    memoryBytes: random.pick(CHOICES.memoryBytes),
    answers: random.pick(CHOICES.answers),
    senderTimeoutMs: random.pick(CHOICES.senderTimeoutMs),
    statementTimeoutMs: random.pick(CHOICES.statementTimeoutMs),
    poolSize: random.pick(CHOICES.poolSize),
    waitForStandby: random.pick(CHOICES.waitForStandby),
  };
}

/** Largest answer that a receiver gives, in bytes. */
export const LARGEST_ANSWER = 60_000;

/** The daemon's environment for `settings`. */
export function environmentOf(settings: Settings): Readonly<Record<string, string>> {
  const { senderTimeoutMs } = settings;
  return {
    PGNETD_SLOT_PLUGIN: settings.plugin,
    ...(settings.slot === "temporary" ? { PGNETD_SLOT_TEMPORARY: "true" } : {}),
    ...(settings.slot === "failover" ? { PGNETD_SLOT_FAILOVER: "true" } : {}),
    PGNETD_RATE_PER_SECOND: String(settings.perSecond),
    PGNETD_CONCURRENCY: String(settings.concurrency),
    PGNETD_HOST_CONCURRENCY: String(settings.hostConcurrency),
    PGNETD_MEMORY_REQUESTS: String(settings.memoryRequests),
    PGNETD_MEMORY_BYTES: settings.memoryBytes,
    ...(settings.answers === "small" ? { PGNETD_MAX_RESPONSE_BYTES: "64KiB", PGNETD_ANSWER_MEMORY_BYTES: "8MiB" } : {}),
    PGNETD_SENDER_TIMEOUT_MS: String(senderTimeoutMs),
    PGNETD_FENCE_MS: String(Math.floor(senderTimeoutMs * 0.6)),
    PGNETD_STATEMENT_TIMEOUT_MS: String(settings.statementTimeoutMs),
    PGNETD_POOL_SIZE: String(settings.poolSize),
    PGNETD_LOG_LEVEL: "debug",
  };
}
