import { setTimeout as delay } from "node:timers/promises";

import type { TestDatabase } from "./postgres.ts";
import type { Receiver } from "./receiver.ts";

/** Single requests at an even rate, each in a transaction of its own. */
export interface Traffic {
  readonly db: TestDatabase;
  readonly perSecond: number;
  readonly ms: number;
  /** The destination of request number `index`, with a path that no other has. */
  readonly to: (index: number) => string;
}

/** Sends them, and returns when each commit was acknowledged, by url, in milliseconds since the epoch. */
export async function drive({ db, perSecond, ms, to }: Traffic): Promise<ReadonlyMap<string, number>> {
  const told = new Map<string, number>();
  const calls: Promise<unknown>[] = [];
  const startedAt = performance.now();
  for (let index = 0; index * 1_000 < perSecond * ms; index += 1) {
    const earlyMs = startedAt + (index * 1_000) / perSecond - performance.now();
    if (earlyMs > 0) await delay(earlyMs);
    const url = to(index);
    const call = db.query("select net.http_get($1)", [url]);
    calls.push(call.then(() => told.set(url, performance.timeOrigin + performance.now())));
  }
  await Promise.all(calls);
  return told;
}

/** Milliseconds from each of these commits to the arrival at `receiver`, in ascending order; rejects where one is missing. */
export async function latencies(told: ReadonlyMap<string, number>, receiver: Receiver): Promise<readonly number[]> {
  const own = [...told].filter(([url]) => url.startsWith(receiver.url("/")));
  const arrivals = (): ReadonlyMap<string, number> =>
    new Map(receiver.requests.map(({ path, at }) => [receiver.url(path), at]));
  const deadline = performance.now() + 30_000;
  while (own.some(([url]) => !arrivals().has(url))) {
    if (performance.now() > deadline) throw new Error("requests are missing after 30 s");
    await delay(20);
  }
  const at = arrivals();
  return own.map(([url, toldAt]) => Math.max(0, (at.get(url) ?? 0) - toldAt)).toSorted((a, b) => a - b);
}

/** The value that `share` of the ascending `values` do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}
