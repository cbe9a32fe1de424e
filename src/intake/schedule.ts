/** How the outbox is read: not at all, by sweeps alone, or as far as the stream does not bring its rows. */
export type Reading = "none" | "polling" | "streaming";

/** What decides when the outbox is read. Times are milliseconds of the clock handed in; null is never. */
export interface ScheduleState {
  readonly reading: Reading;
  readonly now: number;
  /** A sweep could bring enough to be worth its while. */
  readonly hasRoom: boolean;
  /** The rate is limited: few rows last for some time. */
  readonly isLimited: boolean;
  /** What is queued lasts for seconds; where the rate is unlimited, half of memory is queued. */
  readonly isStocked: boolean;
  readonly lanesBehind: number | "every";
  /** The last sweep of each kind. */
  readonly swept: Readonly<Record<Sweeping, SweepTime>>;
  /** When one of each kind is made again that failed, found nothing or brought rows that did not fit. */
  readonly notBefore: Readonly<Record<Sweeping, number>>;
  /** When the earliest deferred row is due. */
  readonly dueAt: number | null;
  /** When a lane is looked after that was given up. */
  readonly lookAt: number | null;
  /** A watched transaction ended unstreamed, or somebody asked. */
  readonly asked: boolean;
  /** A lane that is behind could take more. */
  readonly wanted: boolean;
  /** One of these is to be read soon, however much is queued of others. */
  readonly wantedSoon: boolean;
  /** Since when the stream is stalled, or from when on unless the server answers before; null without a stall. */
  readonly stalledSince: number | null;
  /** When the watched transactions are checked next. */
  readonly checkAt: number | null;
}

/** What a sweep reads: every lane; those that are behind; or those of responsive hosts, behind or not. */
export type Sweeping = "every" | "behind" | "preferred";

/** When a sweep ended, and how long it took. */
export interface SweepTime {
  readonly at: number;
  readonly ms: number;
}

/** What the reader of the outbox does next. `wait` is woken early by a change of the state; null waits for that alone. */
export type Step =
  | { readonly kind: "sweep"; readonly of: Sweeping }
  | { readonly kind: "check" }
  | { readonly kind: "wait"; readonly ms: number | null };

/** Without a stream the outbox is swept so often. */
const POLL_MS = 1_000;

/** Rows that are due one after the other are read together: a due time is kept within this, in milliseconds. */
const DUE_TOGETHER_MS = 50;

/** While the stream is stalled, by a large transaction, responsive hosts are swept for so often, in milliseconds; for half of the time at most, since nobody else brings rows. */
const STALLED_MS = 10;
/** And every lane so often, for a quarter of the time at most; for half of it where every lane is behind. */
const STALLED_EVERY_MS = 25;
const STALLED_EVERY_SHARE = 1 / 4;

/** Sweeps of every lane, and of those that are behind, take no more than this share of the time. */
const SWEEPING_SHARE = 1 / 3;
/** Nor than this where what is queued lasts for seconds, and none of them has to wait. */
const SWEEPING_SHARE_STOCKED = 1 / 20;
/** Where every lane is behind, and the rate is unlimited, this share while half of memory is queued: fewer sweeps bring more rows each. */
const EVERY_SHARE_STOCKED = 1 / 4;
/** And begin no sooner after the one before than this, in milliseconds. */
const LEAST_PAUSE_MS = 10;

/** Nor sooner than this where memory is full, in milliseconds. */
const FULL_PAUSE_MS = 100;

/** With more lanes behind than this every lane is swept, though the stream's rows of the others then wait for the sweep's end. */
const MOST_SWEPT_ALONE = 2_000;

/** The next step. Pure; P8: without work it waits without end. */
export function nextStep(state: ScheduleState): Step {
  const { now } = state;
  const checkAt = state.checkAt ?? Infinity;
  const sweeps = nextSweeps(state);
  const first = sweeps.reduce((one, other) => (other.at < one.at ? other : one));
  if (first.at <= now) return { kind: "sweep", of: first.of };
  if (checkAt <= now) return { kind: "check" };
  const next = Math.min(checkAt, first.at);
  return { kind: "wait", ms: next === Infinity ? null : next - now };
}

interface NextSweep {
  readonly of: Sweeping;
  readonly at: number;
}

/** When each kind of sweep is next; Infinity where there is no reason for it. */
function nextSweeps(state: ScheduleState): readonly [NextSweep, ...NextSweep[]] {
  const { reading, lanesBehind, notBefore, swept } = state;
  if (reading === "none") return [{ of: "every", at: Infinity }];
  const from = (of: Sweeping, times: readonly number[]): NextSweep => ({
    of,
    at: Math.max(notBefore[of], Math.min(...times)),
  });
  const canNameThem = reading === "streaming" && areSweptAlone(lanesBehind);
  const isApart = canNameThem && (isStalledAtALimit(state) || swept.behind.at > swept.every.at);
  const forBehind = reasonsForBehind(state, isApart ? swept.behind : swept.every);
  return [
    from("preferred", reasonsForPreferred(state)),
    from("every", [...reasonsForEvery(state), ...(canNameThem ? [] : forBehind)]),
    from("behind", canNameThem ? forBehind : []),
  ];
}

/** True where lanes that are behind have sweeps of their own. */
export function areSweptAlone(lanesBehind: number | "every"): boolean {
  return lanesBehind !== "every" && lanesBehind <= MOST_SWEPT_ALONE;
}

/** P6: sweeps of every lane bring little meanwhile, and lanes that are behind have their own. Without a limit all rows are wanted soon. */
export function isStalledAtALimit({
  isLimited,
  stalledSince,
  now,
}: Pick<ScheduleState, "isLimited" | "stalledSince" | "now">): boolean {
  return isLimited && stalledSince !== null && stalledSince <= now;
}

function lastAt({ swept: { every, behind, preferred } }: ScheduleState): number {
  return Math.max(every.at, behind.at, preferred.at);
}

/** When each reason for a sweep of every lane is one. */
function reasonsForEvery(state: ScheduleState): number[] {
  const { reading, now, isLimited, isStocked, stalledSince, hasRoom, lanesBehind, asked, dueAt } = state;
  const { at, ms } = state.swept.every;
  const isEveryBehind = lanesBehind === "every";
  if (isEveryBehind && !isStalledAtALimit(state)) {
    const pausedUntil = isStocked && !isLimited ? at + ms * (1 / EVERY_SHARE_STOCKED - 1) : now;
    return [hasRoom ? pausedUntil : Math.max(pausedUntil, at + FULL_PAUSE_MS)];
  }
  const times: number[] = [];
  const pausedUntil = at + ms * (1 / SWEEPING_SHARE - 1);
  if (asked) times.push(pausedUntil);
  if (dueAt !== null) times.push(Math.max(dueAt, at + DUE_TOGETHER_MS, pausedUntil));
  if (reading === "polling") times.push(at + POLL_MS);
  if (stalledSince === null) return times;
  const pauseMs = isEveryBehind ? ms : ms * (1 / STALLED_EVERY_SHARE - 1);
  return [...times, Math.max(stalledSince, at + Math.max(STALLED_EVERY_MS, pauseMs))];
}

/** When each reason for a sweep of the lanes that are behind is one, where the last one for them was `swept`. */
function reasonsForBehind(
  { wanted, wantedSoon, isLimited, isStocked, hasRoom, lookAt }: ScheduleState,
  swept: SweepTime,
): number[] {
  const times = lookAt === null ? [] : [lookAt];
  if (!wanted) return times;
  const share = isLimited && isStocked && !wantedSoon ? SWEEPING_SHARE_STOCKED : SWEEPING_SHARE;
  const pauseMs = swept.ms * (1 / share - 1);
  return [...times, swept.at + Math.max(hasRoom ? LEAST_PAUSE_MS : FULL_PAUSE_MS, pauseMs)];
}

/** When each reason for a sweep of responsive hosts is one. */
function reasonsForPreferred(state: ScheduleState): number[] {
  const { reading, isLimited, stalledSince, lanesBehind, swept } = state;
  if (reading === "polling" || !isLimited || stalledSince === null || lanesBehind === "every") return [];
  const { at, ms } = swept.preferred;
  return [Math.max(stalledSince, at + ms, lastAt(state) + STALLED_MS)];
}
