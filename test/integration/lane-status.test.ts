import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

interface LaneStatus {
  readonly lane: string;
  readonly outbox_rows: string;
  readonly deferred: string;
  readonly queued: number;
  readonly in_flight: number;
  readonly is_behind: boolean | null;
  readonly is_paused: boolean | null;
  readonly last_error: string | null;
}

const SELECT = `select lane, outbox_rows, deferred, queued, in_flight, is_behind, is_paused, last_error
from net.http_lane_status()`;

test("without a daemon net.http_lane_status() shows what waits, the longest lane first", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://User:x@Long.example/' || g) from generate_series(1, 30) g");
  await db.query(
    "select net.http_request('GET', 'http://long.example/', lane := 'tenant 42') from generate_series(1, 3)",
  );
  await db.query(
    "select net.http_request('GET', 'http://later.example:8080/', delay := '1 day') from generate_series(1, 5)",
  );
  const rows = await db.query<LaneStatus>(SELECT);
  const nothing = { queued: 0, in_flight: 0, is_behind: null, is_paused: null, last_error: null };
  expect(rows).toEqual([
    { lane: "long.example", outbox_rows: "30", deferred: "0", ...nothing },
    { lane: "later.example:8080", outbox_rows: "5", deferred: "5", ...nothing },
    { lane: "long.example tenant 42", outbox_rows: "3", deferred: "0", ...nothing },
  ]);
  const [times] = await db.query(
    `select count(oldest)::int as oldest, count(next_due)::int as due from net.http_lane_status(2)`,
  );
  expect(times).toEqual({ oldest: 1, due: 1 });
});

test("of more lanes than it shows net.http_lane_status() has those with most in memory, queued or in flight", async () => {
  await using db = await testDatabase();
  await db.query(`insert into net.http_lane_activity (lane, host, queued, in_flight, is_behind, is_paused) values
    ('a.example', 'a.example', 2, 0, false, false), ('b.example', 'b.example', 0, 9, false, false), ('c.example', 'c.example', 1, 0, false, false)`);
  expect(await db.query("select lane from net.http_lane_status(1)")).toEqual([{ lane: "b.example" }]);
  expect(await db.query("select lane from net.http_lane_status(2)")).toEqual([
    { lane: "a.example" },
    { lane: "b.example" },
  ]);
});

test("asked for any number of lanes net.http_lane_status() has all of them", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://' || name || '.example/') from unnest('{a,b,c}'::text[]) name");
  await db.query(
    "select net.http_request('GET', 'http://' || name || '.example/', delay := '1 day') from unnest('{c,d,e}'::text[]) name",
  );
  expect(await db.query("select lane from net.http_lane_status(null) order by lane")).toEqual(
    ["a", "b", "c", "d", "e"].map((name) => ({ lane: `${name}.example` })),
  );
});

test("P8: net.http_lane_status() counts up to 10,000 rows of a lane, however many there are", async () => {
  await using db = await testDatabase();
  await db.query(`insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http://flood.example/' || g, 1000 from generate_series(1, 30000) g`);
  expect(await db.query("select outbox_rows from net.http_lane_status()")).toEqual([{ outbox_rows: "10000" }]);
});

test("net.http_lane_status() shows what the daemon does with each lane, and the last failure of its host", async () => {
  await using db = await testDatabase();
  await using hung = await startReceiver();
  await using failing = await startReceiver({ host: "127.0.0.2" });
  hung.behave({ kind: "hang" });
  failing.behave({ kind: "answer", status: 503, delayMs: 50 });
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.3', true)");
  await using _daemon = await startInProcess(db.url, { PGNETD_HOST_CONCURRENCY: "2", PGNETD_GRACE_MS: "0" });
  const get = async (url: string, count: number): Promise<unknown> =>
    db.query("select net.http_get($1, timeout_milliseconds := 60000) from generate_series(1, $2::int)", [url, count]);
  await get(hung.url("/"), 500);
  await get("http://127.0.0.3/", 4);
  await get(failing.url("/"), 2_000);
  const byLane = await eventually(async () => {
    const rows = new Map((await db.query<LaneStatus>(SELECT)).map((row) => [row.lane, row]));
    return rows.get(`127.0.0.2:${failing.port}`)?.last_error === "503" && rows;
  }, 20_000);
  expect(byLane.get(`127.0.0.1:${hung.port}`)).toMatchObject({ outbox_rows: "500", in_flight: 2, is_behind: true });
  expect(byLane.get("127.0.0.3")).toMatchObject({ outbox_rows: "4", in_flight: 0, is_paused: true });
});
