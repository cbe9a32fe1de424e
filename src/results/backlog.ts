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

interface Lane {
  items: Pending[];
  /** Index of the first item not taken yet. */
  head: number;
}

const KINDS = ["answered", "dead", "parked"] as const;

/** Endings in the order they came, apart by kind, since one statement writes one kind. */
export class Backlog {
  readonly #lanes: Readonly<Record<Ending["kind"], Lane>> = {
    answered: { items: [], head: 0 },
    dead: { items: [], head: 0 },
    parked: { items: [], head: 0 },
  };
  #turn = 0;

  push(item: Pending): void {
    this.#lanes[item.ending.kind].items.push(item);
  }

  /** Puts a batch back to the front of its lane. */
  putBack(batch: readonly Pending[]): void {
    const [first] = batch;
    if (first === undefined) return;
    const lane = this.#lanes[first.ending.kind];
    lane.items.splice(0, lane.head, ...batch);
    lane.head = 0;
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

function takeFrom(lane: Lane, bounds: BatchBounds): Pending[] {
  const from = lane.head;
  const most = Math.min(lane.items.length, from + bounds.rows);
  let bytes = 0;
  while (lane.head < most) {
    bytes += lane.items[lane.head]?.bytes ?? 0;
    if (bytes > bounds.bytes && lane.head > from) break;
    lane.head += 1;
  }
  const batch = lane.items.slice(from, lane.head);
  if (lane.head === lane.items.length || lane.head > 4_096) {
    lane.items = lane.items.slice(lane.head);
    lane.head = 0;
  }
  return batch;
}
