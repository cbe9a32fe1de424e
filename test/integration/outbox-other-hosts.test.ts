import { expect, test } from "vitest";
import { openMarkers } from "../support/host-settings-marker.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

test.each(["?x=", "#", "\\"])(
  "P6: requests to a paused host whose urls end in %j and another host stop no request to that one",
  async (end) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.2', true)");
    await using _daemon = await startInProcess(db.url, FAST);
    const paused = `http://127.0.0.2${end}y@127.0.0.1:${receiver.port}/`;
    await enqueue(db, paused, 100);
    await enqueue(db, receiver.url("/"), 100);
    await receiver.waitFor(100);
    const left = await db.query("select from net.http_request_queue where starts_with(url, $1)", [paused]);
    expect(left).toHaveLength(100);
  },
);

test("P6: requests to a dead host whose urls name another host stop no request to that one", async () => {
  await using db = await testDatabase();
  await using dead = await startReceiver({ host: "127.0.0.2" });
  await using receiver = await startReceiver();
  dead.behave({ kind: "hang" });
  await using _daemon = await startInProcess(db.url, { ...FAST, PGNETD_HOST_CONCURRENCY: "2", PGNETD_GRACE_MS: "0" });
  // More than memory holds of one lane.
  await db.query(
    `select count(net.http_get($1 || g, timeout_milliseconds := 600000)) from generate_series(1, 10000) g`,
    [`http://127.0.0.2:${dead.port}?x@127.0.0.1:${receiver.port}/`],
  );
  await dead.waitFor(2);
  await enqueue(db, receiver.url("/"), 100);
  await receiver.waitFor(100);
  expect(receiver.countByPath().size).toBe(100);
});

test("P6: in a lane of several hosts one that is paused stops no other; what waits is sent when it goes on", async () => {
  await using db = await testDatabase();
  await using paused = await startReceiver({ host: "127.0.0.2" });
  await using receiver = await startReceiver();
  await using markers = await openMarkers(db, 1);
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.2', true)");
  await using _daemon = await startInProcess(db.url, FAST);
  const insert = async (port: number, host: string): Promise<unknown> =>
    db.query(
      `insert into net.http_request_queue (method, url, timeout_milliseconds)
      select 'GET', 'http://' || $1 || '/' || g, 60000 from generate_series(1, 100) g`,
      // Which is nothing in a host, and more than a lane's key can have.
      [`${"\u00ad".repeat(255)}${host}:${port}`],
    );
  await insert(paused.port, "127.0.0.2");
  await insert(receiver.port, "127.0.0.1");
  await receiver.waitFor(100);
  expect(paused.requests).toHaveLength(0);
  const resumed = markers.next();
  await db.query(`update net.http_host_settings set paused = false; ${resumed.sql}`);
  await resumed.applied();
  await db.query("update net.http_request_queue set next_attempt_at = now()");
  await emptied(db);
  expect(paused.countByPath().size).toBe(100);
});

test("P6: a url whose lane would be another host's ends as an error, in nobody's way", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url, FAST);
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds)
    select 'GET', 'http:/127.0.0.2/' || $1 || '/', 1000 from generate_series(1, 100)`,
    [`127.0.0.1:${receiver.port}`],
  );
  await enqueue(db, receiver.url("/"), 100);
  await emptied(db);
  expect(receiver.countByPath().size).toBe(100);
  expect(
    await db.query("select error_msg, count(*)::int from net._http_response where error_msg is not null group by 1"),
  ).toEqual([{ count: 100, error_msg: expect.stringContaining("must begin with http:// or https://") as string }]);
});

test("P6: lanes that are new with each request, and come faster than their host's rate, stop no other lane of it", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "50", PGNETD_GRACE_MS: "0" });
  const insert = async (path: string, lane: string, count: number): Promise<unknown> =>
    db.query(
      "select count(net.http_request('GET', $1 || g, lane := format($2, g))) from generate_series(1, $3::int) g",
      [receiver.url(`/${path}`), lane, count],
    );
  const begunAt = performance.now();
  let jobs = 0;
  const flood = async (): Promise<void> => {
    const due = Math.ceil((performance.now() - begunAt) / 5) + 100;
    await insert(`job-${jobs}-`, `job ${jobs}-%s`, due - jobs);
    jobs = due;
  };
  await flood();
  await insert("tenant-", "tenant 42", 10);
  const ofTenant = (): number => receiver.requests.filter(({ path }) => path.startsWith("/tenant-")).length;
  await eventually(async () => {
    await flood();
    return ofTenant() === 10;
  }, 20_000);
  expect(receiver.requests.length).toBeLessThan(jobs);
});
