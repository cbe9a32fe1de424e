import { LABELS, type OutcomeClass } from "./catalogue.ts";

/** What is counted of one host, or of all others. */
export interface HostCounts {
  /** Tries that ended, in the order of `LABELS.outcome`. */
  readonly ended: Float64Array;
  seconds: number;
}

/** The label of all hosts that have none of their own. A host of that name is shown with a dot behind it. */
export const OTHERS = "other";

/** Which hosts have a label is decided this often, in milliseconds. */
const WINDOW_MS = 60_000;
/** Hosts counted in one such time; those that come later in it are not considered. */
const MOST_CANDIDATES = 5_000;
/** A host is left its label unless another one is so many times as busy. */
const INERTIA = 2;
/** Longer names cannot be resolved, and have no label. */
const LONGEST = 253;

const OUTCOMES = new Map<OutcomeClass, number>(LABELS.outcome.map((outcome, index) => [outcome, index]));

/**
 * Counts by host, for so many hosts at most: the first ones, and from then on those of which most tries started in the last minute. Every try counts
 * once, for its host or for `OTHERS`, and no count ever goes down: one that disappears and comes back begins at 0.
 */
export class BusiestHosts {
  readonly #most: number;
  readonly #now: () => number;
  readonly #counts = new Map<string, HostCounts>();
  readonly #others = newCounts();
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
    const shown = new Map([...this.#counts].map(([host, counts]) => [shownHost(host), counts]));
    return shown.set(OTHERS, this.#others);
  }

  /** The label under which what belongs to `host` is shown. */
  labelOf(host: string): string {
    return this.#counts.has(host) ? shownHost(host) : OTHERS;
  }

  #choose(): void {
    const busyness = (host: string): number =>
      (this.#candidates.get(host) ?? 0) * (this.#counts.has(host) ? INERTIA : 1);
    const hosts = new Set([...this.#counts.keys(), ...this.#candidates.keys()]);
    const chosen = new Set([...hosts].toSorted((one, other) => busyness(other) - busyness(one)).slice(0, this.#most));
    for (const host of this.#counts.keys()) if (!chosen.has(host)) this.#counts.delete(host);
    for (const host of chosen) if (!this.#counts.has(host)) this.#counts.set(host, newCounts());
    this.#candidates.clear();
    this.#since = this.#now();
  }
}

function newCounts(): HostCounts {
  return { ended: new Float64Array(LABELS.outcome.length), seconds: 0 };
}

function shownHost(host: string): string {
  return host === OTHERS ? `${OTHERS}.` : host;
}
