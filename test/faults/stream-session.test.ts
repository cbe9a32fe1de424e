import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { startNetwork } from "../support/fault-network.ts";
import { startFaultServer } from "../support/fault-server.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase, testServer } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";

const ROW =
  "insert into net.http_request_queue (method, url, headers, timeout_milliseconds) values ('GET', 'http://x/', '{}', 1)";

/** This many rows in one transaction. */
const MANY = (count: string, body = "null"): string =>
  `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
  select 'GET', 'http://x/', '{}', ${body}, 1 from generate_series(1, ${count}) g`;

/** How long a session that ends waits for its goodbye to be heard. */
const GOODBYE_MS = 500;

test("a session with a sender timeout of 1 s stays up while idle and while a transaction of 200,000 rows passes, without a flood", async () => {
  // Alone on its server: what others write there makes keepalives, too.
  await using db = await startFaultServer();
  await using stream = await startStream(db.url, { senderTimeoutMs: 1_000 });
  const heardBefore = stream.heard;
  const began = performance.now();
  await eventually(() => stream.heard >= heardBefore + 20);
  // Five answers a second to its own five questions, and a few keepalives beside.
  const heardPerSecond = ((stream.heard - heardBefore) * 1_000) / (performance.now() - began);
  expect(heardPerSecond).toBeLessThan(20);
  await db.query(MANY("200000"));
  await stream.waitFor(200_000, 60_000);
  expect(stream.ids).toHaveLength(200_000);
  expect(stream.losses).toBe(0);
  expect(stream.sessions).toBe(1);
});

test("a session whose server falls silent ends within its sender timeout and one look, and is made again", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  await using stream = await startStream(proxy.through(db.url), { senderTimeoutMs: 1_000 });
  await db.query(ROW);
  await stream.waitFor(1);
  const began = performance.now();
  proxy.pause();
  await eventually(() => stream.losses > 0);
  const noticedMs = performance.now() - began;
  proxy.resume();
  await db.query(ROW);
  await stream.waitFor(2);
  expect(noticedMs).toBeGreaterThan(900);
  // Half as much again, for a machine that has others to serve.
  expect(noticedMs).toBeLessThan(1.5 * (1_000 + 200 + GOODBYE_MS));
  expect(stream.outage).toBeNull();
  expect(stream.lines).toContainEqual(
    expect.objectContaining({ reason: "nothing was heard from the server for 1000 ms" }),
  );
});

test("a session over a slow network outlives its sender timeout while one large row arrives", async () => {
  await using db = await testDatabase();
  await using network = await startNetwork(db.url);
  network.limit("replication", 4 * 1024 ** 2);
  await using stream = await startStream(network.url, { senderTimeoutMs: 1_000 });
  const began = performance.now();
  await db.query(MANY("1", "convert_to(repeat(md5(g::text), 200000), 'UTF8')"));
  await stream.waitFor(1, 20_000);
  expect(performance.now() - began).toBeGreaterThan(2_500);
  expect(stream.losses).toBe(0);
});

test("a session waits longer for a server that is busy with one row than it did the time before", async () => {
  await using server = await testServer();
  await migrate(server.url());
  const SENDER_TIMEOUT_MS = 2_000;
  await using stream = await startStream(server.url(), { senderTimeoutMs: SENDER_TIMEOUT_MS });
  await using client = await connectClient(server.url());
  await client.query("begin");
  await client.query(ROW);
  // Whatever is received while the walsenders stand still would pass for progress.
  await connectClient(server.url()).then(async (other) => {
    await other.query("checkpoint");
    await other[Symbol.asyncDispose]();
  });
  await eventually(async () => {
    const found = await client.query(
      `select from pg_replication_slots where confirmed_flush_lsn >= pg_current_wal_lsn() - ${RESERVE_BYTES}::numeric`,
    );
    return found.length === 1;
  });
  // Each walsender stands still as soon as it is there: in a row of hundreds of megabytes it would, too.
  const stopped = new Set<number>();
  const standUntil = async (over: () => Promise<unknown>): Promise<void> => {
    const found = await client.query<{ pid: number }>(
      "select active_pid as pid from pg_replication_slots where active",
    );
    const pid = found[0]?.pid;
    if (pid === undefined || stopped.has(pid)) return;
    stopped.add(pid);
    process.kill(pid, "SIGSTOP");
    try {
      await over();
    } finally {
      process.kill(pid, "SIGCONT");
    }
  };
  await standUntil(async () => eventually(() => stream.losses === 1));
  await eventually(() => stream.sessions === 2);
  // Longer than the first was borne, and shorter than twice that.
  await standUntil(async () => delay(1.3 * SENDER_TIMEOUT_MS));
  await client.query("commit");
  await stream.waitFor(1);
  expect(stopped.size).toBe(2);
  expect(stream.losses).toBe(1);
});

test.each(["0", "1h"])("a session sets its own sender timeout where the server's is %s", async (timeout) => {
  await using db = await testDatabase();
  await db.query(`alter database ${db.name} set wal_sender_timeout = '${timeout}'`);
  await using proxy = await startProxy(db.url);
  await using stream = await startStream(proxy.through(db.url), { senderTimeoutMs: 1_500 });
  await db.query(ROW);
  await stream.waitFor(1);
  const active = async (): Promise<unknown[]> =>
    db.query("select from pg_replication_slots where database = current_database() and active");
  expect(await active()).toHaveLength(1);
  proxy.pause();
  await eventually(async () => (await active()).length === 0);
  proxy.resume();
  await db.query(ROW);
  await stream.waitFor(2);
});
