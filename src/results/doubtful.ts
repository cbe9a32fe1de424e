import Denque from "denque";

import { laneOf } from "../outbox/lane.ts";
import { type BatchBounds, type Pending, takeFrom } from "./backlog.ts";

interface Queue {
  readonly items: Denque<Pending>;
  /** Rows in its next statement at most. */
  rows: number;
}

interface DoubtfulHost {
  readonly fresh: Queue;
  /** Those that were tried alone, and are tried again. */
  readonly again: Queue;
  /** Those queued here, in a statement, or kept until they are to be tried again. */
  unsettled: number;
  /** Those of `unsettled` that were kept. */
  readonly kept: Set<Pending>;
}

/** So many rows of a host in one statement that succeeds, and what comes of it is tried with others again. */
const MOST_ROWS = 512;

/**
 * Completions of *doubtful* hosts: of each a batch failed, though the database takes others. A host is doubtful from `doubt` until
 * nothing of it is unsettled; or, for what comes then, until as many of its rows succeed in one statement as of others, and none of it is
 * kept. One statement has those of one host, and the hosts take turns: what one of them makes fail, or wait, is nobody else's (P6). Of
 * one host fewer are tried at once with each failure, and what was kept apart from the others.
 */
export class Doubtful {
  /** By their authority. */
  readonly #hosts = new Map<string, DoubtfulHost>();
  /** Those with items; the one whose turn is next in front. */
  readonly #turns = new Set<Queue>();

  /** True where `item` belongs here. */
  has(item: Pending): boolean {
    if (this.#hosts.size === 0) return false;
    const host = this.#hosts.get(hostOf(item));
    return host !== undefined && (item.isDoubtful || host.fresh.rows < MOST_ROWS || host.kept.size > 0);
  }

  push(item: Pending): void {
    const queue = this.#queueOf(item);
    queue.items.push(item);
    this.#turns.add(queue);
  }

  /** A batch failed: its hosts are doubtful from now on, and are tried after all others. */
  doubt(batch: readonly Pending[]): void {
    const byQueue = Map.groupBy(batch, (item) => this.#queueOf(item));
    for (const [queue, items] of byQueue) {
      queue.rows = Math.min(MOST_ROWS / 2, byQueue.size > 1 ? items.length : Math.ceil(items.length / 2));
      this.#turns.delete(queue);
      this.putBack(items);
    }
  }

  /** Puts a batch back to the front. */
  putBack(batch: readonly Pending[]): void {
    for (const item of batch.toReversed()) {
      const queue = this.#queueOf(item);
      queue.items.unshift(item);
      this.#turns.add(queue);
    }
  }

  /** The next batch, of the hosts in turn, of one kind; empty where nothing is queued here. */
  take(bounds: BatchBounds): Pending[] {
    const [queue] = this.#turns;
    if (queue === undefined) return [];
    const kind = queue.items.peekFront()?.completion.kind;
    const batch = takeFrom(queue.items, { ...bounds, rows: Math.min(bounds.rows, queue.rows) }, kind);
    this.#turns.delete(queue);
    if (!queue.items.isEmpty()) this.#turns.add(queue);
    return batch;
  }

  succeeded([first]: readonly Pending[]): void {
    if (first === undefined) return;
    const queue = this.#queueOf(first);
    queue.rows = Math.min(MOST_ROWS, queue.rows * 2);
  }

  /** One that was tried alone is to be tried again later. */
  kept(item: Pending): void {
    if (item.isDoubtful) this.#hostOf(item).kept.add(item);
  }

  settled(items: readonly Pending[]): void {
    for (const item of items) {
      if (!item.isDoubtful) continue;
      const host = this.#hostOf(item);
      host.unsettled -= 1;
      host.kept.delete(item);
      if (host.unsettled === 0) this.#hosts.delete(hostOf(item));
    }
  }

  #queueOf(item: Pending): Queue {
    const { fresh, again } = this.#hostOf(item);
    return item.refusals > 0 ? again : fresh;
  }

  #hostOf(item: Pending): DoubtfulHost {
    const name = hostOf(item);
    let host = this.#hosts.get(name);
    if (host === undefined) {
      const queue = (): Queue => ({ items: new Denque(), rows: 1 });
      host = { fresh: queue(), again: queue(), unsettled: 0, kept: new Set() };
      this.#hosts.set(name, host);
    }
    if (!item.isDoubtful) host.unsettled += 1;
    item.isDoubtful = true;
    return host;
  }
}

function hostOf({ completion }: Pending): string {
  return laneOf(completion.request.url, null);
}
