import type { HostChange } from "./callers.ts";
import type { Arrival } from "./destinations.ts";
import type { Plan } from "./draw.ts";
import type { Span } from "./journal.ts";
import { type FaultKind, isMisconduct } from "./steps.ts";

/** Over any second of the receivers' clock so many more may come than the rate says: what comes is not spread as what was sent. */
const SHARE_MORE = 0.3;
const MORE = 3;
/** After a daemon stood still, or its successor began, what it sent may come together, in milliseconds. */
const TOGETHER_MS = 2_000;
/** A changed setting is in force after this time, in milliseconds. */
const IN_FORCE_MS = 1_500;

/** After a fault a daemon may read the outbox, and be told nothing, for so long, in milliseconds. */
const RECOVERY_MS = 10_000;

/** A time in which this process stood still, and saw nothing come. */
export interface Stall {
  readonly from: number;
  readonly until: number;
}

/** What limits are held against. */
export interface LimitsEvidence {
  readonly plan: Plan;
  readonly arrivals: readonly Arrival[];
  readonly spans: readonly Span[];
  readonly hostChanges: readonly HostChange[];
  readonly stalls: readonly Stall[];
}

/** P7: the rate of all requests, the rates of hosts, and paused hosts. */
export function judgeLimits(evidence: LimitsEvidence): readonly string[] {
  const { plan, arrivals } = evidence;
  const { perSecond } = plan.settings;
  const harms: string[] = [];
  const times = arrivals.map(({ at }) => at).toSorted((a, b) => a - b);
  if (perSecond !== "unlimited") harms.push(...judgeRate("all destinations", times, perSecond, evidence));
  harms.push(...judgeConcurrency(evidence));
  return [...harms, ...judgeHosts(evidence)];
}

/** Faults after which what is in flight for a receiver need not be so for a daemon, or is so for another one. */
const ENDS_FLIGHTS: ReadonlySet<FaultKind> = new Set<FaultKind>(["kill", "stop", "pause", "refuse"]);
/** A request is in flight at least so much shorter than its timeout when it has come, in milliseconds. */
const ON_THE_WAY_MS = 300;
/** Timers count from the beginning of the event loop's turn, so an answer goes out so much earlier than planned, in milliseconds. */
const TURN_MS = 100;

/** P7: requests in flight at once, as receivers see them, which is later and shorter than daemons do. */
function judgeConcurrency({ plan, arrivals, spans, hostChanges }: LimitsEvidence): readonly string[] {
  const { concurrency, hostConcurrency, daemons, destinations } = plan.settings;
  if (daemons > 1 || spans.some(({ fault }) => ENDS_FLIGHTS.has(fault.kind))) return [];
  const most = (some: readonly Arrival[]): number => mostAtOnce(some, plan.timeoutMs - ON_THE_WAY_MS);
  const harms: string[] = [];
  const all = most(arrivals);
  if (all > concurrency) harms.push(`P7: ${all} requests were in flight with a concurrency of ${concurrency}`);
  for (let destination = 0; destination < destinations; destination++) {
    // The last change of each lifts what others have set.
    if (hostChanges.filter((change) => change.destination === destination).length > 1) continue;
    const own = most(arrivals.filter((one) => one.destination === destination));
    if (own > hostConcurrency) harms.push(`P7: ${own} requests were in flight to destination ${destination}`);
  }
  return harms;
}

function mostAtOnce(arrivals: readonly Arrival[], longestMs: number): number {
  const changes = arrivals.flatMap(({ at, answeredAt }) => {
    const end = Math.min((answeredAt ?? Infinity) - TURN_MS, at + longestMs);
    return end > at ? [[at, 1] as const, [end, -1] as const] : [];
  });
  let open = 0;
  let most = 0;
  for (const [, by] of changes.toSorted(([a, up], [b, down]) => a - b || up - down)) {
    open += by;
    most = Math.max(most, open);
  }
  return most;
}

function judgeHosts(evidence: LimitsEvidence): readonly string[] {
  const { arrivals, hostChanges, spans } = evidence;
  const harms: string[] = [];
  const changes = hostChanges.filter(({ acknowledgedAt }) => acknowledgedAt < Infinity);
  for (const change of changes) {
    const { destination, rate, paused, acknowledgedAt } = change;
    const until = endOf(change, hostChanges);
    if (spans.some((span) => mayKeepBack(span, change.askedAt, until))) continue;
    const own = arrivals.filter((one) => one.destination === destination).map(({ at }) => at);
    const times = own.filter((at) => at > acknowledgedAt + IN_FORCE_MS && at < until).toSorted((a, b) => a - b);
    const name = `destination ${destination}`;
    if (paused && times.length > 0) harms.push(`P7: ${times.length} requests came to ${name}, which was paused`);
    if (rate !== null && !paused) harms.push(...judgeRate(name, times, rate, evidence));
  }
  return harms;
}

/** True where a daemon may not have read a setting that was in force from `from` to `until`. */
function mayKeepBack(span: Span, from: number, until: number): boolean {
  return !isMisconduct(span.fault) && span.from < until && span.until > from - RECOVERY_MS;
}

/** When another change may have taken the place of this one. */
function endOf(change: HostChange, all: readonly HostChange[]): number {
  const others = all.filter((other) => other !== change && other.destination === change.destination);
  return Math.min(
    ...others.filter(({ acknowledgedAt }) => acknowledgedAt > change.askedAt).map(({ askedAt }) => askedAt),
  );
}

/** The worst second of ascending `times`, where it is beyond `rate`. */
function judgeRate(name: string, times: readonly number[], rate: number, evidence: LimitsEvidence): readonly string[] {
  const most = Math.ceil(rate * (1 + SHARE_MORE)) + MORE;
  let worst = { count: 0, at: 0 };
  let first = 0;
  for (const [index, at] of times.entries()) {
    while ((times[first] ?? at) <= at - 1_000) first++;
    const count = index - first + 1;
    if (count > most && count > worst.count && !isDisturbed(at - 1_000, at, evidence)) worst = { count, at };
  }
  if (worst.count === 0) return [];
  return [`P7: ${worst.count} requests came to ${name} in a second with a rate of ${rate}`];
}

function isDisturbed(from: number, until: number, { spans, stalls }: LimitsEvidence): boolean {
  if (stalls.some((stall) => stall.from < until && stall.until > from - TOGETHER_MS)) return true;
  return spans.some(
    ({ fault, ...span }) =>
      (fault.kind === "pause" || fault.kind === "kill" || fault.kind === "stop") &&
      span.from < until &&
      span.until > from - TOGETHER_MS,
  );
}
