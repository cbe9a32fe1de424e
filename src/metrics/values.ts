import { totalmem } from "node:os";

import { expectedMemory } from "../config/expected-memory.ts";
import { mayStart } from "../dispatch/phase.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { HostLoad, WaitsFor } from "../sending/host-scheduler.ts";
import type { BusiestHosts } from "./busiest-hosts.ts";
import { type CATALOGUE, LABELS, type LabelName } from "./catalogue.ts";
import type { Distribution } from "./distribution.ts";
import type { Sample } from "./sample.ts";
import { VERSION } from "../base/version.ts";

type Section = keyof typeof CATALOGUE;

/** The key of a metric, such as `requests.started`. */
export type MetricKey = { [S in Section]: `${S}.${keyof (typeof CATALOGUE)[S] & string}` }[Section];

/** The labels of one value beside `database`. */
export type Labels = Readonly<Partial<Record<LabelName, string>>>;

/** What a metric shows: a number, several by their labels, or a distribution; null leaves it out. */
export type Shown = number | null | readonly (readonly [labels: Labels, value: number])[] | Distribution;

type Part<S extends Section> = { readonly [K in MetricKey as K extends `${S}.${string}` ? K : never]: Shown };

/** What every metric shows of one database. */
export function valuesOf(sample: Sample): Readonly<Record<MetricKey, Shown>> {
  return {
    ...requests(sample),
    ...hosts(sample),
    ...queue(sample),
    ...state(sample),
    ...slot(sample),
    ...heartbeat(sample),
  };
}

function requests({ meters: { requests: meter } }: Sample): Part<"requests"> {
  return {
    "requests.started": meter.startedCount,
    "requests.ended": LABELS.outcome.map((outcome) => [{ outcome }, meter.endedBy.get(outcome) ?? 0] as const),
    "requests.retried": meter.retriedCount,
    "requests.dead": meter.deadCount,
    "requests.cancelled": meter.cancelledCount,
    "requests.commitToStart": meter.commitToStart,
    "requests.startToAnswer": meter.startToAnswer,
    "requests.answerToStored": meter.answerToStored,
  };
}

function hosts({ meters, load }: Sample): Part<"hosts"> {
  const { hosts: busiest } = meters.requests;
  const counts = [...busiest.read()];
  return {
    "hosts.hostEnded": counts.flatMap(([host, { ended }]) =>
      LABELS.outcome.flatMap((outcome, index) => {
        const count = ended[index] ?? 0;
        return count === 0 ? [] : [[{ host, outcome }, count] as const];
      }),
    ),
    "hosts.hostSeconds": counts.map(([host, { seconds }]) => [{ host }, seconds] as const),
    "hosts.hostQueued": byHost(busiest, load?.hosts ?? [], ({ queued }) => queued),
    "hosts.hostInFlight": byHost(busiest, load?.hosts ?? [], ({ inFlight }) => inFlight),
  };
}

function byHost(
  busiest: BusiestHosts,
  loads: readonly HostLoad[],
  numberOf: (load: HostLoad) => number,
): readonly (readonly [Labels, number])[] {
  const sums = new Map([...busiest.read().keys()].map((host) => [host, 0]));
  for (const load of loads) {
    const label = busiest.labelOf(load.host);
    sums.set(label, (sums.get(label) ?? 0) + numberOf(load));
  }
  return [...sums].map(([host, sum]) => [{ host }, sum] as const);
}

/** What is queued, by what it waits for: how many, and since when. */
function queuedBy(
  { state, load }: Sample,
  now: number,
): ReadonlyMap<WaitsFor | "stalled", { count: number; ageSeconds: number }> {
  const byReason = new Map(LABELS.waits_for.map((reason) => [reason, { count: 0, ageSeconds: 0 }]));
  const isStalled = state === null || !mayStart(state.phase) || state.stalled !== null;
  for (const { queued, waitsFor, waitsSince } of load?.hosts ?? []) {
    const sums = byReason.get(isStalled ? "stalled" : waitsFor);
    if (queued === 0 || sums === undefined) continue;
    sums.count += queued;
    if (waitsSince !== Infinity) sums.ageSeconds = Math.max(sums.ageSeconds, (now - waitsSince) / 1_000);
  }
  return byReason;
}

function queue(sample: Sample): Part<"queue"> {
  const { limits, state: now, load, database, answerBytes, meters } = sample;
  const queued = [...queuedBy(sample, meters.requests.clock.now())];
  const oldestQueued = Math.max(...queued.map(([, { ageSeconds }]) => ageSeconds));
  const ended = now === null ? 0 : now.inMemory - now.queued - now.inFlight;
  return {
    "queue.outboxRows": database?.outboxRows ?? null,
    "queue.deferredRows": database?.deferredRows ?? null,
    "queue.oldestDue": database === null ? null : Math.max(database.oldestDueSeconds, oldestQueued),
    "queue.deadLetters": database?.deadLetters ?? null,
    "queue.queued": queued.map(([waits_for, { count }]) => [{ waits_for }, count] as const),
    "queue.oldestQueued": queued.map(([waits_for, { ageSeconds }]) => [{ waits_for }, ageSeconds] as const),
    "queue.lanesPaused": load?.lanesPaused ?? 0,
    "queue.hostsPaused": database?.hostsPaused ?? null,
    "queue.lanesBehind": now === null || now.lanesBehind === "every" ? 0 : now.lanesBehind,
    "queue.everyLaneBehind": flag(now !== null && mayStart(now.phase) && now.lanesBehind === "every"),
    "queue.inFlight": now?.inFlight ?? 0,
    "queue.inFlightLimit": limits.inFlight,
    "queue.unwritten": Math.max(0, ended),
    "queue.memoryRequests": now?.inMemory ?? 0,
    "queue.memoryRequestsLimit": limits.memoryRequests,
    "queue.memoryBytes": now?.memoryBytes ?? 0,
    "queue.memoryBytesLimit": limits.memoryBytes,
    "queue.answerBytes": answerBytes,
    "queue.answerBytesLimit": limits.answerBytes,
    "queue.rateLimit": limits.perSecond === "unlimited" ? Infinity : limits.perSecond,
  };
}

function state({ state: now, isUp, database, isReady, limits }: Sample): Part<"state"> {
  const phase = now?.phase ?? "not-leading";
  return {
    "state.databaseUp": flag(isUp),
    "state.databaseRead": flag(database !== null),
    "state.leader": flag(mayStart(phase)),
    "state.standby": flag(now?.standby ?? false),
    "state.streamUp": flag(phase === "live" || phase === "catch-up"),
    "state.phase": LABELS.phase.map((one) => [{ phase: one }, flag(one === phase)] as const),
    "state.ready": flag(isReady),
    "state.heardSeconds": secondsOf(mayStart(phase) ? (now?.heardMsAgo ?? null) : null),
    "state.writable": flag(now?.isWritable ?? true),
    "state.readable": flag(!mayStart(phase) || (now?.unread ?? null) === null),
    "state.expectedMemory": Math.min(expectedMemory(limits.memoryBytes, limits.answerBytes), memoryLimit() ?? Infinity),
    "state.memoryLimit": memoryLimit(),
    "state.build": [[{ version: VERSION }, 1]],
  };
}

/** What the container may have; null where it is not limited, which Linux shows as more than any machine has. */
function memoryLimit(): number | null {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : null;
}

function slot({ state: now, server, slotSecondsToLimit }: Sample): Part<"slot"> {
  const read = server?.slot ?? null;
  const health = read?.health ?? "unknown";
  const lag = (position: Lsn | null | undefined): number | null =>
    server === null || position === null || position === undefined
      ? null
      : Math.max(0, Number(server.current - position));
  return {
    "slot.health": LABELS.health.map((one) => [{ health: one }, flag(one === health)] as const),
    "slot.slotActive": read === null ? null : flag(read.isActive),
    "slot.retained": read?.retainedWalBytes ?? null,
    "slot.receivedLag": now !== null && mayStart(now.phase) ? lag(now.received) : null,
    "slot.confirmedLag": lag(read?.confirmed),
    "slot.safe": read?.safeWalBytes ?? null,
    "slot.secondsToLimit": slotSecondsToLimit,
    "slot.inactiveSince": read === null || read.isActive ? null : read.inactiveSince,
    "slot.invalidated":
      read === null
        ? null
        : LABELS.reason.map((reason) => [{ reason }, flag(reason === read.invalidationReason)] as const),
    "slot.synced": read === null || read.isSynced === null ? null : flag(read.isSynced),
  };
}

function heartbeat({ meters, heartbeatPendingMs }: Sample): Part<"heartbeat"> {
  return {
    "heartbeat.sent": meters.heartbeats.sentCount,
    "heartbeat.roundTrip": meters.heartbeats.roundTrip,
    "heartbeat.pending": heartbeatPendingMs / 1_000,
  };
}

function flag(value: boolean): 0 | 1 {
  return value ? 1 : 0;
}

function secondsOf(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}
