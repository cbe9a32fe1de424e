import Denque from "denque";

import { laneOf } from "../outbox/lane.ts";
import { type BatchBounds, type Pending, takeFrom } from "./backlog.ts";

interface DoubtfulHost {
  readonly items: Denque<Pending>;
  /** Those queued here, in a statement, or kept until they are to be tried again. */
  unsettled: number;
  /** Rows in its next statement at most. */
  rows: number;
}

/**
 * Completions of *doubtful* hosts: of each a batch failed, though the database takes others. A host is doubtful from `doubt` until
 * nothing of it is unsettled. One statement has those of one host, and the hosts take turns: what one of them makes fail, or wait, is
 * nobody else's (P6). Of one host fewer are tried at once with each failure.
 */
export class Doubtful {
  /** By their authority; the one whose turn is next in front. */
  readonly #hosts = new Map<string, DoubtfulHost>();

  /** True where `item` belongs here. */
  has(item: Pending): boolean {
    return this.#hosts.size > 0 && this.#hosts.has(hostOf(item));
  }

  push(item: Pending): void {
    this.#hostOf(item).items.push(item);
  }

  /** A batch failed: its hosts are doubtful from now on, and are tried after all others. */
  doubt(batch: readonly Pending[]): void {
    const byHost = Map.groupBy(batch, hostOf);
    for (const [name, items] of byHost) {
      const [first] = items;
      if (first === undefined) continue;
      const host = this.#hostOf(first);
      host.rows = byHost.size > 1 ? items.length : Math.ceil(items.length / 2);
      this.putBack(items);
      this.#hosts.delete(name);
      this.#hosts.set(name, host);
    }
  }

  /** Puts a batch back to the front. */
  putBack(batch: readonly Pending[]): void {
    for (const item of batch.toReversed()) this.#hostOf(item).items.unshift(item);
  }

  /** The next batch, of the hosts in turn, of one kind; empty where nothing is queued here. */
  take(bounds: BatchBounds): Pending[] {
    for (const [name, host] of this.#hosts) {
      const kind = host.items.peekFront()?.completion.kind;
      if (kind === undefined) continue;
      this.#hosts.delete(name);
      this.#hosts.set(name, host);
      return takeFrom(host.items, { ...bounds, rows: Math.min(bounds.rows, host.rows) }, kind);
    }
    return [];
  }

  succeeded([first]: readonly Pending[]): void {
    if (first?.isDoubtful === true) this.#hostOf(first).rows *= 2;
  }

  settled(items: readonly Pending[]): void {
    for (const item of items) {
      if (!item.isDoubtful) continue;
      const host = this.#hostOf(item);
      host.unsettled -= 1;
      if (host.unsettled === 0) this.#hosts.delete(hostOf(item));
    }
  }

  #hostOf(item: Pending): DoubtfulHost {
    const name = hostOf(item);
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = { items: new Denque(), unsettled: 0, rows: 1 };
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
