import Denque from "denque";

import type { AnswerMemory } from "../limits/answer-memory.ts";
import type { Inserter } from "../pg/snapshot.ts";
import type { Completion } from "./completion.ts";
import type { Item } from "./statements.ts";

/** A completion that waits to be written. */
export interface Pending extends Item {
  /** See `ResultWriter.write`. */
  readonly insertedBy: Inserter | null;
  /** Roughly what it takes in memory and in a statement, in bytes. */
  readonly bytes: number;
  /** What its answer holds, until it is settled. */
  readonly memory: AnswerMemory;
  /** How often it was kept to be tried later. */
  refusals: number;
  /** Tries of a large answer, alone, that failed after long work. */
  longFailures: number;
  /** Tries of a batch with it in front that ended in a deadlock. */
  deadlocks: number;
  /** How often in a row its row was free, and could not be taken nevertheless. */
  freed: number;
  /** See `Doubtful`. */
  isDoubtful: boolean;
}

/** A completion that was not tried yet. */
export const UNTRIED = {
  refusal: null,
  refusals: 0,
  longFailures: 0,
  deadlocks: 0,
  freed: 0,
  isDoubtful: false,
} as const;

/** Bounds of one batch. */
export interface BatchBounds {
  readonly rows: number;
  readonly bytes: number;
}

/** A statement with an answer of more than this is long under way, in bytes. */
const LARGE_BYTES = 1_048_576;

/** True where the statement for this completion is long under way: others do not wait for it. */
export function isLarge({ completion, bytes }: Pending): boolean {
  return completion.kind === "answered" && bytes > LARGE_BYTES;
}

const LANES = ["answered", "large", "dead", "deferred"] as const;
type Lane = (typeof LANES)[number];

/** Completions in the order they came, apart by kind, since one statement writes one kind; and large answers apart from others (P6). */
export class Backlog {
  readonly #lanes: Readonly<Record<Lane, Denque<Pending>>> = {
    answered: new Denque(),
    large: new Denque(),
    dead: new Denque(),
    deferred: new Denque(),
  };
  #turn = 0;

  push(item: Pending): void {
    this.#lanes[laneOf(item)].push(item);
  }

  /** Puts a batch back to the front of its lane. */
  putBack(batch: readonly Pending[]): void {
    for (const item of batch.toReversed()) this.#lanes[laneOf(item)].unshift(item);
  }

  /** The next batch, of the lanes in turn, or of all but the large answers; at least one item, however large. Empty when nothing waits. */
  take(bounds: BatchBounds, largeToo = true): Pending[] {
    for (let tried = 0; tried < LANES.length; tried += 1) {
      const lane = LANES[this.#turn % LANES.length] ?? "answered";
      this.#turn += 1;
      const batch = lane === "large" && !largeToo ? [] : takeFrom(this.#lanes[lane], bounds);
      if (batch.length > 0) return batch;
    }
    return [];
  }
}

function laneOf(item: Pending): Lane {
  return isLarge(item) ? "large" : item.completion.kind;
}

/** What is in front of `lane`, of one kind where that is given; at least one item, however large. */
export function takeFrom(lane: Denque<Pending>, bounds: BatchBounds, kind?: Completion["kind"]): Pending[] {
  const batch: Pending[] = [];
  let bytes = 0;
  while (batch.length < bounds.rows) {
    const next = lane.peekFront();
    if (next === undefined || (kind !== undefined && next.completion.kind !== kind)) break;
    bytes += next.bytes;
    if (bytes > bounds.bytes && batch.length > 0) break;
    lane.shift();
    batch.push(next);
  }
  return batch;
}
