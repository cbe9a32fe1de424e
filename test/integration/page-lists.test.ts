import { expect, test } from "vitest";
import { type LastFailures, readLists, type ShownLane } from "../../src/page/lists.ts";
import { openPool } from "../../src/pg/pool.ts";
import { testDatabase } from "../support/postgres.ts";

test("a lane is shown as its host's settings and last failure are now, not as the daemon reported them seconds ago", async () => {
  await using db = await testDatabase();
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  const hosts = ["resumed.example", "forgotten.example", "paused.example"];
  await db.query("select net.http_get('http://' || host || '/') from unnest($1::text[]) as host", [hosts]);
  await db.query(
    `insert into net.http_lane_activity (lane, host, queued, in_flight, is_behind, is_paused, last_error, last_error_at)
     select lane, host, 0, 0, true, host <> 'paused.example', '503', statement_timestamp() - interval '1 minute'
     from (select lane, split_part(lane, ' ', 1) as host from net.http_lane_status()) known`,
  );
  await db.query(
    "insert into net.http_host_settings (host, paused) values ('resumed.example', false), ('paused.example', true)",
  );
  const lastFailures: LastFailures = new Map([
    ["resumed.example", { code: "timeout", msAgo: 1_000 }],
    ["paused.example", { code: "timeout", msAgo: 3_600_000 }],
  ]);
  const { lanes, pausedHosts } = await readLists(pool, "host", lastFailures);
  const shown = lanes.map(({ host, isPaused, lastError }: ShownLane) => [host, isPaused, lastError] as const);
  expect(new Set(shown)).toEqual(
    new Set([
      ["resumed.example", false, "timeout"],
      ["forgotten.example", false, "503"],
      ["paused.example", true, "503"],
    ]),
  );
  expect(pausedHosts).toEqual(["paused.example"]);
});
