import { LABELS, type OutcomeClass } from "./catalogue.ts";

/** What is counted of one host, or of all others. */
export interface HostCounts {
  /** Tries that ended, in the order of `LABELS.outcome`. */
  readonly ended: Float64Array;
  seconds: number;
}

/** The same, with how many of its tries started in a window on average; null before the first has ended. */
interface LabelledHost extends HostCounts {
  average: number | null;
}

/** The label of all hosts that have none of their own. A host of that name is shown with a dot behind it. */
export const OTHERS = "other";

/** Which hosts have a label is decided this often, in milliseconds. */
const WINDOW_MS = 60_000;
/** Hosts counted in one such time; those that come later in it are not considered. */
const MOST_CANDIDATES = 5_000;
/** A host takes the label of another one if it is so many times as busy, */
const INERTIA = 2;
/** and so many of its tries started in the last window. */
const LEAST_STARTS = 10;
/** What one window counts in the average of a host. */
const WEIGHT = 1 / 4;
/** Longer names cannot be resolved, and have no label. */
const LONGEST = 253;

const OUTCOMES = new Map<OutcomeClass, number>(LABELS.outcome.map((outcome, index) => [outcome, index]));

/**
 * Counts by host, for so many hosts at most: the first ones, and in place of the least busy of them, once a minute, a busier one. Every try counts
 * once, for its host or for `OTHERS`, and no count ever goes down: one that disappears and comes back begins at 0.
 */
export class BusiestHosts {
  readonly #most: number;
  readonly #now: () => number;
  readonly #counts = new Map<string, LabelledHost>();
  readonly #others: HostCounts = newCounts();
  /** Tries that started since `#since`, by host. */
  readonly #candidates = new Map<string, number>();
  #since: number;

  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
    this.#since = now();
  }

  /** A try of `host` starts. */
  started(host: string): void {
    const known = this.#candidates.get(host);
    if (known !== undefined) this.#candidates.set(host, known + 1);
    else if (this.#candidates.size < MOST_CANDIDATES && host.length <= LONGEST) this.#begin(host);
  }

  /** One ended. */
  ended(host: string, outcome: OutcomeClass, seconds: number): void {
    const counts = this.#counts.get(host) ?? this.#others;
    const index = OUTCOMES.get(outcome) ?? 0;
    counts.ended[index] = (counts.ended[index] ?? 0) + 1;
    counts.seconds += seconds;
  }

  #begin(host: string): void {
    this.#candidates.set(host, 1);
    if (this.#counts.size < this.#most && !this.#counts.has(host)) this.#counts.set(host, newCounts());
  }

  /** What was counted, by label. */
  read(): ReadonlyMap<string, HostCounts> {
    if (this.#now() - this.#since >= WINDOW_MS) this.#choose();
    const shown = new Map<string, HostCounts>([...this.#counts].map(([host, counts]) => [shownHost(host), counts]));
    return shown.set(OTHERS, this.#others);
  }

  /** The label under which what belongs to `host` is shown. */
  labelOf(host: string): string {
    return this.#counts.has(host) ? shownHost(host) : OTHERS;
  }

  /** One host at most is replaced: each change breaks the lines of a graph. */
  #choose(): void {
    let least: readonly [host: string, average: number] = ["", Infinity];
    for (const [host, counts] of this.#counts) {
      const starts = this.#candidates.get(host) ?? 0;
      counts.average = counts.average === null ? starts : counts.average + WEIGHT * (starts - counts.average);
      if (counts.average < least[1]) least = [host, counts.average];
    }
    let busiest: readonly [host: string, starts: number] = ["", 0];
    for (const [host, starts] of this.#candidates) {
      if (starts > busiest[1] && !this.#counts.has(host)) busiest = [host, starts];
    }
    const [host, starts] = busiest;
    if (starts >= LEAST_STARTS && starts >= INERTIA * least[1]) {
      this.#counts.delete(least[0]);
      this.#counts.set(host, { ...newCounts(), average: starts });
    }
    this.#candidates.clear();
    this.#since = this.#now();
  }
}

function newCounts(): LabelledHost {
  return { ended: new Float64Array(LABELS.outcome.length), seconds: 0, average: null };
}

function shownHost(host: string): string {
  return host === OTHERS ? `${OTHERS}.` : host;
}
