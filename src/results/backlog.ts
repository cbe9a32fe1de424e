import Denque from "denque";

import type { Inserter } from "../outbox/snapshot.ts";
import type { Ending } from "./ending.ts";
import type { Item } from "./statements.ts";

/** An ending that waits to be written. */
export interface Pending extends Item {
  /** See `ResultWriter.write`. */
  readonly insertedBy: Inserter | null;
  /** Roughly what it takes in memory and in a statement, in bytes. */
  readonly bytes: number;
  /** Tries that met a locked row, or a database that refused even the refusal. */
  tries: number;
}

/** Bounds of one batch. */
export interface BatchBounds {
  readonly rows: number;
  readonly bytes: number;
}

const KINDS = ["answered", "dead", "parked"] as const;

/** Endings in the order they came, apart by kind, since one statement writes one kind. */
export class Backlog {
  readonly #lanes: Readonly<Record<Ending["kind"], Denque<Pending>>> = {
    answered: new Denque(),
    dead: new Denque(),
    parked: new Denque(),
  };
  #turn = 0;

  push(item: Pending): void {
    this.#lanes[item.ending.kind].push(item);
  }

  /** Puts a batch back to the front of its lane. */
  putBack(batch: readonly Pending[]): void {
    for (const item of batch.toReversed()) this.#lanes[item.ending.kind].unshift(item);
  }

  /** The next batch, of the kinds in turn; at least one item, however large. Empty when nothing waits. */
  take(bounds: BatchBounds): Pending[] {
    for (let tried = 0; tried < KINDS.length; tried += 1) {
      const kind = KINDS[this.#turn % KINDS.length] ?? "answered";
      this.#turn += 1;
      const batch = takeFrom(this.#lanes[kind], bounds);
      if (batch.length > 0) return batch;
    }
    return [];
  }
}

function takeFrom(lane: Denque<Pending>, bounds: BatchBounds): Pending[] {
  const batch: Pending[] = [];
  let bytes = 0;
  while (batch.length < bounds.rows) {
    const next = lane.peekFront();
    if (next === undefined) break;
    bytes += next.bytes;
    if (bytes > bounds.bytes && batch.length > 0) break;
    lane.shift();
    batch.push(next);
  }
  return batch;
}
