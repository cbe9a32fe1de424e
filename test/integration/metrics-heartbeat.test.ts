import pg from "pg";
import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { Heartbeat, HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { openPool } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { testServer } from "../support/server.ts";
import { silentLog } from "../support/silent-log.ts";

test("a heartbeat is written where the synchronous standby is away", async () => {
  await using server = await testServer({ wal_level: "logical", synchronous_standby_names: "away" });
  await using pool = openPool({ url: server.url(), size: 1, statementTimeoutMs: 30_000 });
  const meter = new HeartbeatMeter();
  new Heartbeat({ db: pool, meter, clock: systemClock, log: silentLog }).beat(0);
  await eventually(() => meter.sentCount === 1);
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const { rows } = await client.query("select count(*)::int as n from pg_stat_activity where wait_event = 'SyncRep'");
  await client.end();
  expect(rows).toEqual([{ n: 0 }]);
});
