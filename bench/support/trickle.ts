import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../test/support/eventually.ts";
import { percentile } from "./numbers.ts";
import type { Rig } from "./rig.ts";

let last = 0;

/** Sends single requests at an even rate, each in a transaction of its own, and resolves to how long after the answer to its commit each arrived. */
export async function trickle(
  rig: Rig,
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<readonly number[]> {
  const first = last + 1;
  last += perSecond * seconds;
  const acknowledged = new Map<number, number>();
  const startedAt = performance.now();
  await rig.report();
  for (let n = first; n <= last; n += 1) {
    const earlyMs = startedAt + ((n - first) * 1_000) / perSecond - performance.now();
    if (earlyMs > 0) await delay(earlyMs);
    await rig.trickleClient.query({
      name: "call",
      text: "select net.http_get($1 || $2::int)",
      values: [rig.receiverUrl, n],
    });
    acknowledged.set(n, performance.timeOrigin + performance.now());
  }
  const arrived = new Map<number, number>();
  await eventually(async () => {
    const { times, numbers } = await rig.report();
    numbers.forEach((n, index) => arrived.set(n, times[index] ?? Number.NaN));
    return [...acknowledged.keys()].every((n) => arrived.has(n));
  }, 120_000);
  return [...acknowledged]
    .map(([n, at]) => Math.max(0, (arrived.get(n) ?? Number.NaN) - at))
    .toSorted((one, other) => one - other);
}

/** One line of a table of milliseconds; `sorted` ascending. */
export function row(scenario: string, when: string, sorted: readonly number[]): object {
  const rounded = (share: number): number => Number(percentile(sorted, share).toFixed(1));
  return {
    scenario,
    when,
    requests: sorted.length,
    p50: rounded(0.5),
    p90: rounded(0.9),
    p99: rounded(0.99),
    most: rounded(1),
  };
}
