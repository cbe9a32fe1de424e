import type { Account } from "./books.ts";
import type { Arrival } from "./destinations.ts";
import type { Evidence } from "./judge.ts";
import type { Span } from "./journal.ts";
import { type FaultKind, isMisconduct } from "./steps.ts";

/** Faults with which the lead goes to another daemon, which cannot know what the first one has in flight. */
const MOVES_LEAD: ReadonlySet<FaultKind> = new Set<FaultKind>([
  "pause",
  "cut",
  "half-open",
  "cut off",
  "end walsender",
  "end pool",
  "drop slot",
  "server crash",
  "server restart",
]);

/** Faults with which an answer may wait for long until it is stored. */
const DELAYS_RESULTS: ReadonlySet<FaultKind> = new Set<FaultKind>([...MOVES_LEAD, "row locks", "absent standby"]);

/** Else an answer is stored within this time, in milliseconds, on a busy machine too. */
const STORED_MS = 3_000;
/** A fault may have its effect for so long after its end, in milliseconds. */
const EFFECT_MS = 10_000;

/** P3: what came more often than it was tried was in flight at a fault that makes a daemon forget it. Null where all is well. */
export function repeatsHarm(account: Account, { plan, spans }: Evidence): string | null {
  const { id, arrivals, ends, replayedAttempts } = account;
  if (ends.length !== 1) return null;
  const tries = [...replayedAttempts, ends[0]?.attempts ?? 0].reduce((sum, some) => sum + some, 0);
  const repeats = arrivals.length - tries;
  if (repeats <= 0) return null;
  const forgetting = spans.filter((span) => mayForget(span, plan.settings.daemons, spans));
  const mayBeLate = spans.some(({ fault }) => DELAYS_RESULTS.has(fault.kind));
  let excused = 0;
  for (const [index, arrival] of arrivals.entries()) {
    const next = arrivals[index + 1];
    if (next === undefined) break;
    const isExcused =
      isSentAgain(arrival, spans) || forgetting.some((span) => wasInFlight(arrival, next, span, mayBeLate));
    if (isExcused) excused++;
  }
  if (excused >= repeats) return null;
  return `P3: request ${id} came ${arrivals.length} times in ${tries} tries; faults account for ${excused} more`;
}

function mayForget({ fault }: Span, daemons: number, spans: readonly Span[]): boolean {
  if (fault.kind === "kill") return true;
  if (fault.kind === "stop") return spans.some((other) => DELAYS_RESULTS.has(other.fault.kind));
  return daemons > 1 && MOVES_LEAD.has(fault.kind);
}

function wasInFlight({ at, answeredAt }: Arrival, next: Arrival, { from, until }: Span, mayBeLate: boolean): boolean {
  const isStored = answeredAt !== null && !mayBeLate && answeredAt + STORED_MS < from;
  return !isStored && from <= next.at && at <= until + EFFECT_MS;
}

/** RFC 9110, 9.2.2: an idempotent request is sent once more where a kept connection ends without a byte. */
function isSentAgain({ at, method, conduct, destination }: Arrival, spans: readonly Span[]): boolean {
  if (method === "POST") return false;
  if (conduct === "reset" || conduct === "close") return true;
  return spans.some(
    ({ fault, from, until }) =>
      fault.kind === "refuse" &&
      isMisconduct(fault) &&
      fault.destination === destination &&
      at < until &&
      from < at + 5_000,
  );
}
