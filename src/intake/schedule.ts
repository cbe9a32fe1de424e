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
  /** What is queued lasts for seconds. */
  readonly isStocked: boolean;
  /** Every lane is behind. */
  readonly isEveryBehind: boolean;
  /** When the last sweep ended, and how long it took. */
  readonly sweptAt: number;
  readonly sweepMs: number;
  /** When one that failed or found nothing is tried again. */
  readonly notBefore: number;
  /** When the earliest deferred row is due, or a lane is looked after that was given up. */
  readonly dueAt: number | null;
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

/** What the reader of the outbox does next. `wait` is woken early by a change of the state; null waits for that alone. */
export type Step =
  | { readonly kind: "sweep" }
  | { readonly kind: "check" }
  | { readonly kind: "wait"; readonly ms: number | null };

/** Without a stream the outbox is swept so often. */
const POLL_MS = 1_000;

/** Rows that are due one after the other are read together: a due time is kept within this, in milliseconds. */
const DUE_TOGETHER_MS = 50;

/** While the stream is stalled, by a large transaction, the outbox is swept so often; for half of the time at most, since nobody else brings rows. */
const STALLED_MS = 25;

/** Sweeps for lanes that are behind take no more than this share of the time. */
const SWEEPING_SHARE = 1 / 3;
/** Nor than this where what is queued lasts for seconds, and none of them has to wait: rows that are streamed while a sweep runs wait for its end. */
const SWEEPING_SHARE_STOCKED = 1 / 20;
/** And begin no sooner after the one before than this, in milliseconds. */
const LEAST_PAUSE_MS = 10;

/** Nor sooner than this where memory is full, in milliseconds. */
const FULL_PAUSE_MS = 100;

/** The next step. Pure; P8: without work it waits without end. */
export function nextStep(state: ScheduleState): Step {
  const { now } = state;
  const sweepAt = nextSweepAt(state);
  const checkAt = state.checkAt ?? Infinity;
  if (sweepAt <= now) return { kind: "sweep" };
  if (checkAt <= now) return { kind: "check" };
  const next = Math.min(sweepAt, checkAt);
  return { kind: "wait", ms: next === Infinity ? null : next - now };
}

/** Infinity where there is no reason for a sweep. */
function nextSweepAt(state: ScheduleState): number {
  const { reading, now, hasRoom, isLimited, isEveryBehind, stalledSince, sweptAt, notBefore, asked } = state;
  if (reading === "none") return Infinity;
  const isPaced = isLimited && stalledSince !== null && stalledSince <= now;
  if (isEveryBehind && !isPaced) return Math.max(notBefore, hasRoom ? now : sweptAt + FULL_PAUSE_MS);
  if (asked) return Math.max(notBefore, now);
  const times = reasons(state);
  if (reading === "polling") times.push(sweptAt + POLL_MS);
  return Math.max(notBefore, Math.min(...times));
}

/** When each reason for a sweep is one. */
function reasons(state: ScheduleState): number[] {
  const { dueAt, wanted, wantedSoon, isStocked, stalledSince, hasRoom, sweptAt, sweepMs } = state;
  const times: number[] = [];
  const share = isStocked && !wantedSoon ? SWEEPING_SHARE_STOCKED : SWEEPING_SHARE;
  const pauseMs = sweepMs * (1 / share - 1);
  if (dueAt !== null) times.push(Math.max(dueAt, sweptAt + DUE_TOGETHER_MS));
  if (wanted) times.push(sweptAt + Math.max(hasRoom ? LEAST_PAUSE_MS : FULL_PAUSE_MS, pauseMs));
  if (stalledSince !== null) times.push(Math.max(stalledSince, sweptAt + Math.max(STALLED_MS, sweepMs)));
  return times;
}
