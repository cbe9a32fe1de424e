import { setTimeout as delay } from "node:timers/promises";
import { usageOf } from "../support/process-usage.ts";
import type { Rig } from "../support/rig.ts";
import type { Scenario } from "../support/scenario.ts";
import { openSilentHosts } from "../support/silent-hosts.ts";

const TO_ONE = "select count(net.http_get($1 || n)) from generate_series(1, $2::int) n";
const FLOOD = 1_000_000;
const WAITING_MS = 20_000;

const SELECT_WORK = `select n_tup_upd::int as updated, n_tup_del::int as deleted,
  (select wal_records::float8 from pg_stat_wal) as records, (select wal_fpi::float8 from pg_stat_wal) as images,
  (pg_current_wal_insert_lsn() - '0/0')::float8 as written
from pg_stat_user_tables where relid = 'net.http_request_queue'::regclass`;

interface Work {
  readonly updated: number;
  readonly deleted: number;
  readonly records: number;
  readonly images: number;
  readonly written: number;
}

async function workOf(rig: Rig): Promise<Work> {
  // Sessions hand in their statistics once a second.
  await delay(1_500);
  const { rows } = await rig.client.query<Work>(SELECT_WORK);
  const [work] = rows;
  if (work === undefined) throw new Error("the outbox has no statistics");
  return work;
}

/** What a flood for a dead host costs the database while it waits. Autovacuum is off, so that what is written is the daemon's. */
const flood: Scenario = {
  name: `flood-${FLOOD}`,
  rounds: 2,
  settings: { autovacuum: "off" },
  async measure(rig) {
    await using silent = await openSilentHosts();
    await using daemon = await rig.startDaemon("200");
    await daemon.live();
    await rig.client.query(TO_ONE, [silent.url(0), FLOOD]);
    const before = await workOf(rig);
    const { cpuMs } = usageOf(daemon.pid);
    const since = performance.now();
    await delay(WAITING_MS);
    const used = usageOf(daemon.pid);
    const seconds = (performance.now() - since) / 1_000;
    const after = await workOf(rig);
    await rig.client.query("truncate net.http_request_queue");
    return {
      "rows updated": after.updated,
      "rows ended": after.deleted,
      "WAL bytes per waiting row": (after.written - before.written) / FLOOD,
      "WAL records": after.records - before.records,
      "of them page images": after.images - before.images,
      "daemon's CPU %": (used.cpuMs - cpuMs) / seconds / 10,
      "peak RSS MB": used.peakRssMb,
    };
  },
};

const CALLS = 100_000;

function enqueue(name: string, call: string): Scenario {
  return {
    name: `enqueue-${name}`,
    rounds: 5,
    settings: { autovacuum: "off" },
    async measure(rig) {
      const times: number[] = [];
      for (let round = 0; round < 4; round += 1) {
        await rig.client.query("truncate net.http_request_queue");
        await rig.client.query("checkpoint");
        const since = performance.now();
        await rig.client.query(`select count(${call}) from generate_series(1, ${CALLS}) n`);
        // The first one fills caches.
        if (round > 0) times.push(performance.now() - since);
      }
      const [, median = Number.NaN] = times.toSorted((one, other) => one - other);
      return { "µs per call": (median * 1_000) / CALLS };
    },
  };
}

/** What callers and waiting requests cost the database. */
export const DATABASE: readonly Scenario[] = [
  flood,
  enqueue("one-host", "net.http_get('https://hooks.example.com/orders')"),
  enqueue("many-hosts", "net.http_get('https://shop-' || n % 1000 || '.example.com/orders')"),
  enqueue(
    "post",
    `net.http_post('https://hooks.example.com/orders', '{"id": 4711, "name": "some name", "status": "paid"}')`,
  ),
];
