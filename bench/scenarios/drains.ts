import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../../test/support/eventually.ts";
import { watchPage } from "../../test/support/page-client.ts";
import { percentile } from "../support/numbers.ts";
import { usageOf } from "../support/process-usage.ts";
import type { Rig } from "../support/rig.ts";
import { type Figures, type Scenario, shares } from "../support/scenario.ts";
import { trickle } from "../support/trickle.ts";

const SELECT_WAITING = "select exists (select from net.http_request_queue) as waiting";
const PER_HOST = 100;

interface Drained {
  readonly "sent per second": number;
  readonly "stored per second": number;
  readonly "CPU ms each": number;
  readonly "peak RSS MB": number;
}

/** Queues what `statement` says in one transaction, at `unlimited`, and waits until all answers are stored. */
async function drain(
  rig: Rig,
  count: number,
  statement: string,
  values: readonly unknown[],
): Promise<[Drained, Int32Array]> {
  await using daemon = await rig.startDaemon("unlimited");
  await daemon.live();
  await trickle(rig, { perSecond: 100, seconds: 2 });
  await rig.report();
  const before = usageOf(daemon.pid);
  await rig.client.query(statement, [...values]);
  const committed = Date.now();
  await eventually(async () => {
    const { rows } = await rig.client.query<{ waiting: boolean }>(SELECT_WAITING);
    return rows[0]?.waiting === false;
  }, 600_000);
  const storedMs = Date.now() - committed;
  const after = usageOf(daemon.pid);
  const { times, numbers } = await rig.report();
  const spanMs = (times.at(-1) ?? 0) - (times[0] ?? 0);
  const drained = {
    "sent per second": (count * 1_000) / spanMs,
    "stored per second": (count * 1_000) / storedMs,
    "CPU ms each": (after.cpuMs - before.cpuMs) / count,
    "peak RSS MB": after.peakRssMb,
  };
  return [drained, numbers];
}

const TO_ONE = "select count(net.http_get($1 || n)) from generate_series(1, $2::int) n";

function oneHost(count: number): Scenario {
  return {
    name: `drain-${count}`,
    rounds: 5,
    measure: async (rig) => ({ ...(await drain(rig, count, TO_ONE, [rig.receiverUrl, count]))[0] }),
  };
}

/** Host by host in the order of ids, which is the hardest for equal shares. */
const TO_MANY = `select count(net.http_get(($1::text[])[1 + n / $3] || n)) from generate_series(0, $2::int - 1) n`;

/** The shares of hosts are those of the first half of the requests: in the end all are equal. */
function manyHosts(hosts: number, perHost: number): Scenario {
  return {
    name: `hosts-${hosts}`,
    rounds: 3,
    async measure(rig) {
      const urls = Array.from({ length: hosts }, (_, host) => rig.hostUrl(host));
      const count = hosts * perHost;
      const [drained, numbers] = await drain(rig, count, TO_MANY, [urls, count, perHost]);
      const figures: Figures = { ...drained };
      if (perHost === 1) return figures;
      const half = Array.from(numbers.subarray(0, numbers.length >> 1));
      return { ...figures, ...shares(half, hosts, (n) => Math.floor(n / perHost)) };
    },
  };
}

/** 5,000 requests per second while something else is asked of the daemon. */
async function steadily(rig: Rig, count: number, beside: (address: string) => Promise<Disposable>): Promise<Figures> {
  await using daemon = await rig.startDaemon("5000");
  await daemon.live();
  await trickle(rig, { perSecond: 100, seconds: 2 });
  await rig.report();
  using _asking = await beside(daemon.address);
  const before = usageOf(daemon.pid);
  await rig.client.query(TO_ONE, [rig.receiverUrl, count]);
  await eventually(async () => {
    const { rows } = await rig.client.query<{ waiting: boolean }>(SELECT_WAITING);
    return rows[0]?.waiting === false;
  }, 600_000);
  const after = usageOf(daemon.pid);
  const { times } = await rig.report();
  return {
    "sent per second": (count * 1_000) / ((times.at(-1) ?? 0) - (times[0] ?? 0)),
    "CPU ms each": (after.cpuMs - before.cpuMs) / count,
    "peak RSS MB": after.peakRssMb,
  };
}

const SCRAPED_EVERY_MS = 1_000;

/** Scraped each second; a version without metrics answers the scrapes with 404. */
const scraped: Scenario = {
  name: "scraped-5000",
  rounds: 5,
  measure: (rig) =>
    steadily(rig, 50_000, async (address) => {
      const scrape = async (): Promise<unknown> => (await fetch(`${address}/metrics`)).text();
      await scrape();
      const scrapes = setInterval(() => void scrape(), SCRAPED_EVERY_MS);
      return { [Symbol.dispose]: () => clearInterval(scrapes) };
    }),
};

/** With the page open once and without, in turns that even out what grows meanwhile. */
const watched: Scenario = {
  name: "watched-5000",
  rounds: 3,
  async measure(rig) {
    const alone: Figures[] = [];
    const beside: Figures[] = [];
    const nobody = (): Promise<Disposable> => Promise.resolve({ [Symbol.dispose]: () => undefined });
    for (const isWatched of [false, true, true, false]) {
      (isWatched ? beside : alone).push(await steadily(rig, 30_000, isWatched ? watchPage : nobody));
    }
    const mean = (figures: readonly Figures[], name: string): number =>
      figures.reduce((sum, one) => sum + (one[name] ?? 0), 0) / figures.length;
    const [cpu, cpuWatched] = [mean(alone, "CPU ms each"), mean(beside, "CPU ms each")];
    return {
      "CPU ms each": cpu,
      "CPU ms each, watched": cpuWatched,
      "CPU watched / not": cpuWatched / cpu,
      "sent per second": mean(alone, "sent per second"),
      "sent per second, watched": mean(beside, "sent per second"),
    };
  },
};

/** From the answer to the caller's commit to the arrival, at `unlimited`. */
const latency: Scenario = {
  name: "latency-100",
  rounds: 5,
  async measure(rig) {
    await using daemon = await rig.startDaemon("unlimited");
    await daemon.live();
    await trickle(rig, { perSecond: 100, seconds: 3 });
    const before = usageOf(daemon.pid);
    const { delays } = await trickle(rig, { perSecond: 100, seconds: 15 });
    const after = usageOf(daemon.pid);
    return {
      "p50 ms": percentile(delays, 0.5),
      "p90 ms": percentile(delays, 0.9),
      "p99 ms": percentile(delays, 0.99),
      "CPU ms each": (after.cpuMs - before.cpuMs) / delays.length,
    };
  },
};

const IDLE_MS = 5_000;
const DRAINING_MS = 30_000;

/** Resident memory without work, and in the first half minute of a million requests at `unlimited`. */
const memory: Scenario = {
  name: "memory-1000000",
  rounds: 2,
  async measure(rig) {
    await using daemon = await rig.startDaemon("unlimited");
    await daemon.live();
    await delay(IDLE_MS);
    const idle = usageOf(daemon.pid);
    await rig.client.query(TO_ONE, [rig.receiverUrl, 1_000_000]);
    const resident: number[] = [];
    for (const until = Date.now() + DRAINING_MS; Date.now() < until; await delay(200)) {
      resident.push(usageOf(daemon.pid).rssMb);
    }
    const { peakRssMb } = usageOf(daemon.pid);
    const { times } = await rig.report();
    await rig.client.query("truncate net.http_request_queue");
    return {
      "idle RSS MB": idle.rssMb,
      "median RSS MB": percentile(
        resident.toSorted((one, other) => one - other),
        0.5,
      ),
      "peak RSS MB": peakRssMb,
      "sent per second": (times.length * 1_000) / ((times.at(-1) ?? 0) - (times[0] ?? 0)),
    };
  },
};

/** How fast the outbox is emptied, and what that takes. */
export const DRAINS: readonly Scenario[] = [
  oneHost(50_000),
  scraped,
  watched,
  latency,
  oneHost(1_000 * PER_HOST),
  manyHosts(1_000, PER_HOST),
  manyHosts(50_000, 1),
  memory,
];
