import { toError } from "../../src/base/errors.ts";
import { readConfig, type LoadedConfig } from "../../src/config/load.ts";
import { perLaneBound } from "../../src/sending/memory.ts";
import { RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import type { HostBehaviour } from "./destinations.ts";
import type { Listen } from "./process.ts";
import type { ServerProfile } from "./server/server.ts";
import { lineOf, type Step } from "./steps.ts";
import { promises, runTime, virtualNow } from "./virtual-time.ts";
import { World } from "./world.ts";

/** Settings that histories draw. */
export interface HistorySettings {
  readonly memoryRequests: number;
  readonly memoryBytes: number;
  readonly perSecond: number | "unlimited";
  readonly concurrency: number;
  readonly hostConcurrency: number;
  readonly answerBytes: number;
  readonly temporarySlot: boolean;
}

/** Everything that determines one run. */
export interface History {
  readonly seed: number;
  readonly settings: HistorySettings;
  readonly profile: ServerProfile;
  readonly hosts: Readonly<Record<string, HostBehaviour>>;
  readonly daemons: number;
  /** The slot is there from before. */
  readonly hasSlot: boolean;
  /** Also when nothing is left to do it is watched, and ended. */
  readonly toTheEnd: boolean;
  readonly steps: readonly Step[];
}

/** What came of one run. */
export interface Outcome {
  readonly harms: readonly string[];
  /** Milliseconds of the simulation. */
  readonly simulatedMs: number;
  readonly requests: number;
  readonly started: number;
}

const BASE = readConfig({ env: { DATABASE_URL: "postgres://pgnetd@server.test/app" } });

function configOf(settings: HistorySettings): LoadedConfig {
  const { config, sources } = BASE;
  return {
    sources,
    config: {
      ...config,
      outbox: { memoryRequests: settings.memoryRequests, memoryBytes: settings.memoryBytes },
      rate: { perSecond: settings.perSecond },
      slot: { ...config.slot, temporary: settings.temporarySlot },
      http: {
        ...config.http,
        concurrency: settings.concurrency,
        hostConcurrency: settings.hostConcurrency,
        maxTimeoutMs: 30_000,
        maxResponseBytes: 65_536,
      },
      results: { ...config.results, memoryBytes: settings.answerBytes },
    },
  };
}

/** Everything has to have ended this long after the last step, in milliseconds. */
const DRAIN_MS = 180_000;
/** What was begun has ended after this time, in milliseconds: checks of transactions that nobody waits for any more. */
const SETTLE_MS = 7_000;
/** And nothing happens for so long afterwards. */
const QUIET_MS = 8_000;
/** A daemon that was asked to stop has ended by then. */
const STOP_MS = 15_000;

/** Runs one history from its beginning to the end of all daemons. */
export async function play(history: History, listen: Listen | null = null): Promise<Outcome> {
  const { seed, settings, profile, hosts, daemons, hasSlot } = history;
  const { perSecond, concurrency, hostConcurrency } = settings;
  const { memoryRequests } = settings;
  const perLane = perLaneBound(perSecond, memoryRequests);
  const limits = { perSecond, concurrency, perHost: hostConcurrency, perLane, memoryRequests };
  const world = new World({ seed, profile, hosts, loaded: configOf(settings), daemons, hasSlot, limits, listen });
  const { referee, server } = world;
  const hasFailed = (): boolean => referee.harms.length > 0 || server.harms.length > 0;
  for (const step of history.steps) {
    await runTime(virtualNow() + step.afterMs, hasFailed);
    if (hasFailed()) break;
    listen?.(`${Math.round(virtualNow())} ms: ${lineOf(step)}`);
    world.act(step.act);
  }
  if (!hasFailed()) await drain(history, world, hasFailed);
  for (const process of world.processes) process.isDead = true;
  await promises();
  return {
    harms: [...server.harms, ...referee.harms],
    simulatedMs: virtualNow(),
    requests: referee.records.size,
    started: referee.started,
  };
}

async function drain(history: History, world: World, hasFailed: () => boolean): Promise<void> {
  const { referee, server } = world;
  const { database } = server;
  world.heal();
  const isDone = (): boolean =>
    hasFailed() || (database.running.size === 0 && isStreaming() && !referee.isAnyWaiting && isLive());
  const isStreaming = (): boolean => server.slot !== null && server.slot.active !== null;
  // A leader that stood still may sweep once before it knows that another one leads.
  const isLive = (): boolean =>
    world.running.some(({ state }) => state === "live") &&
    world.running.every(({ pausedUntil }) => pausedUntil <= virtualNow());
  await runTime(virtualNow() + DRAIN_MS, () => hasFailed() || database.running.size === 0);
  world.unpause();
  await runTime(virtualNow() + DRAIN_MS, isDone);
  if (hasFailed()) return;
  referee.finish();
  if (hasFailed()) return;
  if (!history.toTheEnd) return;
  await runTime(virtualNow() + SETTLE_MS, hasFailed);
  const before = new Map(server.statements);
  await runTime(virtualNow() + QUIET_MS, hasFailed);
  if (hasFailed()) return;
  judgeQuiet(world, before);
  for (const process of world.running) process.stop();
  await runTime(virtualNow() + STOP_MS, () => world.running.length === 0);
  await runTime(virtualNow() + 6_000);
  for (const { name, ended, isDead, timers, state } of world.processes) {
    if (isDead) continue;
    if (ended === null) referee.harm(`${name} does not end: it is ${state}`);
    else if (ended.error !== null) referee.harm(`${name} failed: ${toError(ended.error).message}`);
    else if (timers > 0) referee.harm(`${name} has ended and left ${timers} timers`);
  }
  if (server.sessions.size > 0) {
    const left = [...server.sessions].map(({ link, application }) => `${link.owner.name} ${application}`);
    referee.harm(`sessions are left on the server: ${left.join(", ")}`);
  }
}

/** P8, P4: with nothing to do nothing is asked, and the slot holds nothing. */
function judgeQuiet({ server, referee }: World, before: ReadonlyMap<string, number>): void {
  for (const [name, count] of server.statements) {
    const more = count - (before.get(name) ?? 0);
    if (BUSY.has(name) && more > 0) referee.harm(`P8: ${more} times "${name}" while nothing is to be done`);
  }
  const { slot, database } = server;
  const last = database.log.at(-1);
  if (slot === null || slot.active === null) referee.harm("P2: there is no stream");
  else if (last !== undefined && slot.confirmed + RESERVE_BYTES < last.endLsn)
    referee.harm("P4: the slot holds back what was received");
}

const BUSY: ReadonlySet<string> = new Set([
  "sweep",
  "snapshot",
  "locked",
  "read ids",
  "host settings",
  "answered",
  "dead",
  "deferred",
]);
