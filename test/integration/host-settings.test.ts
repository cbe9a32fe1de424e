import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";

import { readHostSettings } from "../../src/outbox/host-settings.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Received, startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

async function set(db: TestDatabase, host: string, columns: string): Promise<void> {
  await db.query(`update net.http_host_settings set ${columns} where host = $1`, [host]);
}

/** The most arrivals within any `spanMs`. */
function mostWithin(requests: readonly Received[], spanMs: number): number {
  const times = requests.map(({ at }) => at).toSorted((a, b) => a - b);
  return Math.max(0, ...times.map((from, index) => times.slice(index).filter((at) => at < from + spanMs).length));
}

/** The rate of the arrivals over their whole time. */
function perSecond(requests: readonly Received[]): number {
  const times = requests.map(({ at }) => at);
  return ((times.length - 1) * 1_000) / (Math.max(...times) - Math.min(...times));
}

test("P7: a rate of a host holds from its commit on, is changed and taken away while requests go on", async () => {
  await using db = await testDatabase();
  await using limited = await startReceiver({ host: "127.0.0.2" });
  await using other = await startReceiver();
  await using _daemon = await startInProcess(db.url, FAST);
  await db.query("insert into net.http_host_settings (host, rate_per_second) values ('127.0.0.2', 20)");
  // The daemon has it when a request that was sent after it has come.
  await db.query("select net.wake()");
  await delay(200);
  await enqueue(db, limited.url("/"), 1_000);
  await enqueue(db, other.url("/"), 200);
  await other.waitFor(200, 5_000);

  await limited.waitFor(60);
  // The first arrive late, over new connections, and any may by what a busy machine needs: hence less than a second.
  const slow = limited.requests.slice(10, 60);
  expect(mostWithin(slow, 800)).toBeLessThanOrEqual(20);
  expect(perSecond(slow)).toBeGreaterThan(10);
  expect(perSecond(slow)).toBeLessThan(23);

  await set(db, "127.0.0.2", "rate_per_second = 100");
  await delay(300);
  const from = limited.requests.length;
  await limited.waitFor(from + 150);
  const faster = limited.requests.slice(from + 10, from + 150);
  expect(mostWithin(faster, 800)).toBeLessThanOrEqual(100);
  expect(perSecond(faster)).toBeGreaterThan(50);
  expect(perSecond(faster)).toBeLessThan(105);

  await db.query("delete from net.http_host_settings");
  await emptied(db, 10_000);
  expect([limited.requests.length, limited.countByPath().size]).toEqual([1_000, 1_000]);
});

test("a concurrency of a host takes effect while more are in flight, and only once it is committed", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const delayMs = 100;
  receiver.behave({ kind: "answer", delayMs });
  await using _daemon = await startInProcess(db.url, FAST);
  const inFlightAt = ({ at }: Received): number =>
    receiver.requests.filter((one) => one.at <= at && one.at > at - delayMs + 20).length;
  await db.query("insert into net.http_host_settings (host) values ('127.0.0.1')");
  await enqueue(db, receiver.url("/"), 1_000);
  await receiver.waitFor(150);
  expect(Math.max(...receiver.requests.map(inFlightAt))).toBeGreaterThan(50);

  const client = await db.pool.connect();
  try {
    await client.query("begin; update net.http_host_settings set concurrency = 1; rollback; begin");
    await client.query("update net.http_host_settings set concurrency = 3");
    const uncommitted = receiver.requests.length;
    await receiver.waitFor(uncommitted + 100);
    expect(Math.max(...receiver.requests.slice(uncommitted + 70).map(inFlightAt))).toBeGreaterThan(30);
    await client.query("commit");
  } finally {
    client.release();
  }
  await delay(2 * delayMs + 200);
  const from = receiver.requests.length;
  await receiver.waitFor(from + 20);
  expect(Math.max(...receiver.requests.slice(from).map(inFlightAt))).toBeLessThanOrEqual(3);

  await set(db, "127.0.0.1", "concurrency = null");
  await emptied(db, 20_000);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([1_000, 1_000]);
});

test("a paused host gets nothing while others do; resumed, it gets all, each once; a restart keeps the pause", async () => {
  await using db = await testDatabase();
  await using paused = await startReceiver({ host: "127.0.0.2" });
  await using other = await startReceiver();
  paused.behave({ kind: "answer", delayMs: 20 });
  await db.query("insert into net.http_host_settings (host) values ('127.0.0.2')");
  const first = await startInProcess(db.url, FAST);
  await enqueue(db, paused.url("/"), 2_000);
  await paused.waitFor(100);
  await set(db, "127.0.0.2", "paused = true");
  await eventually(async () => {
    const health = (await (await fetch(`${first.address}/healthz`)).json()) as { requests: Record<string, number> };
    return health.requests["queued"] === 0 && health.requests["inFlight"] === 0;
  }, 5_000);
  const sent = paused.requests.length;
  expect(sent).toBeLessThan(2_000);
  await enqueue(db, other.url("/"), 100);
  await other.waitFor(100, 5_000);
  await first.stop();
  await using _second = await startInProcess(db.url, FAST);
  await enqueue(db, other.url("/again-"), 100);
  await enqueue(db, paused.url("/again-"), 100);
  await other.waitFor(200, 5_000);
  expect(paused.requests.length).toBe(sent);

  await set(db, "127.0.0.2", "paused = false");
  await emptied(db, 15_000);
  expect([paused.requests.length, paused.countByPath().size]).toEqual([2_100, 2_100]);
});

test.each(["100000.1", "10000000000", "'Infinity'", "'NaN'", "0"])(
  "a rate of %s is refused where it is written",
  async (rate) => {
    await using db = await testDatabase();
    const insert = db.query(`insert into net.http_host_settings (host, rate_per_second) values ('a.example', ${rate})`);
    await expect(insert).rejects.toMatchObject({
      code: "23514",
      message: expect.stringContaining("rate_per_second_is") as unknown,
    });
  },
);

test("P7: while settings cannot be read at the start nothing is sent, and it is said", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)");
  await enqueue(db, receiver.url("/"), 1);
  await enqueue(db, other.url("/"), 1);
  await using client = await connectClient(db.url);
  await client.query("begin; lock table net.http_host_settings in access exclusive mode");
  await using daemon = await startInProcess(db.url, { ...FAST, PGNETD_STATEMENT_TIMEOUT_MS: "1000" }, "polling");
  const message = "settings of hosts could not be read; no request starts before, and it is tried again";
  await eventually(() => daemon.lines.some((line) => line["message"] === message), 5_000);
  expect(other.requests).toEqual([]);
  await client.query("rollback");
  await other.waitFor(1);
  expect(receiver.requests).toEqual([]);
});

test("P7: without a stream a host is paused within the next sweep or two", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await db.query("drop publication pgnetd_outbox");
  await using _daemon = await startInProcess(db.url, FAST, "polling");
  const both = async (count: number): Promise<void> => {
    await enqueue(db, receiver.url("/"), 1);
    await enqueue(db, other.url("/"), 1);
    await other.waitFor(count);
  };
  await both(1);
  await receiver.waitFor(1);
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)");
  for (let count = 2; receiver.requests.length === count - 1; count++) {
    expect(count).toBeLessThan(5);
    await both(count);
  }
  const sent = receiver.requests.length;
  await both(other.requests.length + 1);
  expect(receiver.requests).toHaveLength(sent);
});

test.each(["localhost", "localhost."])(
  "P7: a row for %s holds for urls with and without the trailing dot",
  async (host) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await db.query("insert into net.http_host_settings (host, paused) values ($1, true)", [host]);
    await using _daemon = await startInProcess(db.url, FAST);
    for (const name of ["localhost", "localhost."]) {
      await db.query("select net.http_get($1)", [`http://${name}:${receiver.port}/`]);
    }
    await db.query("select net.http_get($1)", [receiver.url("/sent")]);
    await receiver.waitFor(1);
    expect(receiver.requests.map(({ path }) => path)).toEqual(["/sent"]);
    expect(await db.query("select from net.http_request_queue where url like '%localhost%'")).toHaveLength(2);
  },
);

test("P7: of two rows for one host that without the trailing dot holds", async () => {
  await using db = await testDatabase();
  await db.query(
    "insert into net.http_host_settings (host, concurrency) values ('a.example', 1), ('a.example.', 2), ('b.example.', 3)",
  );
  const settings = await readHostSettings(db.pool);
  expect(Object.fromEntries([...settings].map(([host, { concurrency }]) => [host, concurrency]))).toEqual({
    "a.example": 1,
    "b.example": 3,
  });
});
