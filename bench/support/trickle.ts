import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../test/support/eventually.ts";
import type { Rig } from "./rig.ts";

/** Numbers of other requests to the same receiver begin here. */
export const FIRST_OF_OTHERS = 100_000_000;

/** How single requests are sent. */
export interface TrickleOptions {
  readonly perSecond: number;
  readonly seconds: number;
  /** An SQL expression that queues a request to the url `$1 || $2`. */
  readonly call?: string;
}

/** What came of them. */
export interface Trickled {
  /** Milliseconds from the answer to the caller's commit until the request arrived, ascending; of one that did not, until now. */
  readonly delays: readonly number[];
  /** The numbers of other requests that arrived meanwhile. */
  readonly others: readonly number[];
}

/** Requests that come later than this after the last was queued are not waited for. */
const LONGEST_WAIT_MS = 10_000;

let last = 0;

/** Sends single requests at an even rate, each in a transaction of its own, and waits for their arrival. */
export async function trickle(
  rig: Rig,
  { perSecond, seconds, call = "net.http_get($1 || $2)" }: TrickleOptions,
): Promise<Trickled> {
  const first = last + 1;
  last += perSecond * seconds;
  const acknowledged = new Map<number, number>();
  const startedAt = performance.now();
  await rig.report();
  for (let n = first; n <= last; n += 1) {
    const earlyMs = startedAt + ((n - first) * 1_000) / perSecond - performance.now();
    if (earlyMs > 0) await delay(earlyMs);
    await rig.trickleClient.query({
      name: call.slice(0, 60),
      text: `select ${call}`,
      values: [rig.receiverUrl, String(n)],
    });
    acknowledged.set(n, performance.timeOrigin + performance.now());
  }
  const arrived = new Map<number, number>();
  const others: number[] = [];
  const collect = async (): Promise<boolean> => {
    const { times, numbers } = await rig.report();
    numbers.forEach((n, index) => {
      if (n >= FIRST_OF_OTHERS) others.push(n);
      else arrived.set(n, times[index] ?? Number.NaN);
    });
    return [...acknowledged.keys()].every((n) => arrived.has(n));
  };
  await eventually(collect, LONGEST_WAIT_MS).catch(() => undefined);
  const now = performance.timeOrigin + performance.now();
  const delays = [...acknowledged]
    .map(([n, at]) => Math.max(0, (arrived.get(n) ?? now) - at))
    .toSorted((one, other) => one - other);
  return { delays, others };
}
