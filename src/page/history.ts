import { LABELS, type OutcomeClass } from "../metrics/catalogue.ts";
import type { RequestMeter } from "../metrics/request-meter.ts";
import type { Sample } from "../metrics/sample.ts";
import { quantile } from "./quantile.ts";

/** How far apart points are, in milliseconds. */
export const STEP_MS = 5_000;
const MINUTE_MS = 60_000;
/** Points that are kept: an hour. */
const MOST = 720;

/** What one point has, in this order; null where it is not known. */
export const COLUMNS = [
  /** Seconds since 1970, at the end of its five seconds. */
  "at",
  /** Starts per second. */
  "started",
  /** Tries that ended per second, by the class of their answer. */
  "2xx",
  "3xx",
  "4xx",
  "5xx",
  /** Those without an answer. */
  "failed",
  /** Seconds from start to answer. */
  "median",
  "p99",
  /** From the database: known only while somebody watches. */
  "outboxRows",
  "oldestDueSeconds",
  "retainedBytes",
] as const;

/** How tries ended lately. */
export interface LastMinute {
  readonly ended: number;
  readonly failed: number;
}

/** One point, in the order of `COLUMNS`. */
export type Point = readonly (number | null)[];

interface Counts {
  readonly meter: RequestMeter;
  readonly at: number;
  readonly started: number;
  readonly ended: ReadonlyMap<OutcomeClass, number>;
  readonly latency: readonly (readonly [bound: number, count: number])[];
}

const ANSWERED = ["2xx", "3xx", "4xx", "5xx"] as const;
const FAILED = LABELS.outcome.filter((outcome) => !/^\dxx$/.test(outcome));

/** The last hour in memory: what was counted, and what the database said while somebody watched. */
export class History {
  readonly #points: Point[] = [];
  /** The counts of the last minute, the oldest first. */
  #recent: Counts[] = [];

  get points(): readonly Point[] {
    return this.#points;
  }

  /** Tries that ended in the last minute, and those of them without an answer or with a status from 500 on. */
  get lastMinute(): LastMinute {
    const [first] = this.#recent;
    const last = this.#recent.at(-1);
    if (first === undefined || last === undefined) return { ended: 0, failed: 0 };
    const ended = (outcomes: readonly OutcomeClass[]): number => endedBetween(first, last, outcomes);
    return { ended: ended(LABELS.outcome), failed: ended(["5xx", ...FAILED]) };
  }

  /** Adds the time since the last call; returns nothing for the first, or where another database is counted now. */
  record(meter: RequestMeter, sample: Sample | null, at: number): Point | null {
    const before = this.#recent.at(-1);
    const now = countsOf(meter, at);
    if (before !== undefined && before.meter !== meter) this.#recent = [];
    this.#recent.push(now);
    if (this.#recent.length > MINUTE_MS / STEP_MS + 1) this.#recent.shift();
    if (before === undefined || before.meter !== meter || at <= before.at) return null;
    const seconds = (at - before.at) / 1_000;
    const ended = (outcomes: readonly OutcomeClass[]): number => endedBetween(before, now, outcomes) / seconds;
    const database = sample?.database ?? null;
    const point = [
      at / 1_000,
      (now.started - before.started) / seconds,
      ...ANSWERED.map((one) => ended([one])),
      ended(FAILED),
      quantile(0.5, before.latency, now.latency),
      quantile(0.99, before.latency, now.latency),
      database?.outboxRows ?? null,
      database?.oldestDueSeconds ?? null,
      sample?.server?.slot.retainedWalBytes ?? null,
    ];
    this.#points.push(point);
    if (this.#points.length > MOST) this.#points.shift();
    return point;
  }
}

function endedBetween(before: Counts, now: Counts, outcomes: readonly OutcomeClass[]): number {
  return outcomes.reduce((sum, outcome) => sum + (now.ended.get(outcome) ?? 0) - (before.ended.get(outcome) ?? 0), 0);
}

function countsOf(meter: RequestMeter, at: number): Counts {
  const { startedCount: started, endedBy, startToAnswer } = meter;
  return { meter, at, started, ended: new Map(endedBy), latency: startToAnswer.cumulative };
}
