import { setTimeout as delay } from "node:timers/promises";
import { SECRET } from "./fuzz-row.ts";
import type { TestDatabase } from "./postgres.ts";

/** A request to a host that nothing is wrong with, through the daemon under test and at the same moment through an idle one. */
export interface Probe {
  /** From the call to the answer as seen in SQL, in milliseconds. */
  readonly ms: number;
  /** The same through the idle daemon: what the machine and its PostgreSQL have to do with it. */
  readonly idleMs: number;
}

/** One of several probes is answered within this time, in milliseconds. */
const ANSWERED_WITHIN_MS = 250;

/** No probe takes longer than that of the idle daemon by more than this, in milliseconds. */
const LONGEST_STALL_MS = 750;

/** A machine that others load may delay one daemon and not the other for a moment, three times in a row it does not. */
const PROBES = 3;

const GIVEN_UP_AFTER_MS = 10_000;

type Queried = Pick<TestDatabase, "query">;

/** Probes until one is answered soon enough, three times at most. */
export async function probe(tested: Queried, idle: Queried, port: number): Promise<readonly Probe[]> {
  const url = `http://localhost:${port}/?${SECRET}`;
  const probes: Probe[] = [];
  while (probes.length < PROBES) {
    const [ms, idleMs] = await Promise.all([answeredAfterMs(tested, url), answeredAfterMs(idle, url)]);
    probes.push({ ms, idleMs });
    if (ms <= ANSWERED_WITHIN_MS || ms === Infinity) break;
  }
  return probes;
}

/** What is wrong with the daemon under test; null when nothing is. */
export function judge(probes: readonly Probe[]): string | null {
  const isSlow = probes.every(({ ms }) => ms > ANSWERED_WITHIN_MS);
  const hasStalled = probes.some(({ ms, idleMs }) => ms === Infinity || ms - idleMs > LONGEST_STALL_MS);
  if (!isSlow && !hasStalled) return null;
  const shown = probes.map(({ ms, idleMs }) => `${ms} ms (through an idle daemon: ${idleMs} ms)`);
  return `a healthy host was answered after ${shown.join(", then ")}`;
}

async function answeredAfterMs(db: Queried, url: string): Promise<number> {
  const startedAt = performance.now();
  const [made] = await db.query<{ id: string }>("select net.http_get($1)::text as id", [url]);
  for (;;) {
    const rows = await db.query("select from net._http_response where id = $1 and status_code = 200", [made?.id]);
    const ms = performance.now() - startedAt;
    if (rows.length > 0) return Math.round(ms);
    if (ms > GIVEN_UP_AFTER_MS) return Infinity;
    await delay(3);
  }
}
