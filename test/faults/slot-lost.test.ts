import { expect, test } from "vitest";
import type { Health } from "../../src/ops/health.ts";
import { parseLsn } from "../../src/pg/lsn.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { startNetwork } from "../support/fault-network.ts";
import { expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { startFaultServer } from "../support/fault-server.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { startReceiver } from "../support/receiver.ts";

/** The default of `http.hostConcurrency`. */
const HOST_CONCURRENCY = 64;
const ENV = { PGNETD_RATE_PER_SECOND: "1000" };

/** The database's slots: name, plugin and state. */
async function slots(db: Pick<TestDatabase, "query">): Promise<Record<string, unknown>[]> {
  return db.query(
    `select slot_name, plugin, wal_status, active, temporary from pg_replication_slots
    where database = current_database() order by slot_name`,
  );
}

/** What `/healthz` says of the daemon at `address`. */
async function healthOf(address: string): Promise<Health> {
  return (await (await fetch(`${address}/healthz`)).json()) as Health;
}

/** Ends the walsender of the database's slot and drops the slot before it is taken again. */
async function dropSlot(db: Pick<TestDatabase, "query">): Promise<void> {
  await eventually(async () => {
    await db.query(
      "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where database = current_database() and active",
    );
    const dropped = await db.query(
      "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and not active",
    );
    return dropped.length > 0;
  });
}

/** Writes more log than `max_slot_wal_keep_size` lets a slot hold, and removes it. */
async function outgrow(db: Pick<TestDatabase, "query">): Promise<void> {
  for (let segment = 1; segment <= 4; segment++) {
    await db.query("select pg_logical_emit_message(false, 'filler', repeat('x', 1000))");
    await db.query("select pg_switch_wal()");
  }
  await db.query("checkpoint");
}

test("P2 P3: the slot dropped under it, three times while 2,000 drain: all answered, nothing repeated", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 20 });
  await using daemon = await startInProcess(db.url, ENV);
  await enqueue(db, receiver.url("/a"), 1_000);
  for (const part of [200, 600, 1_200]) {
    await receiver.waitFor(part);
    await dropSlot(db);
    if (part === 600) await enqueue(db, receiver.url("/b"), 1_000);
  }
  await emptied(db);
  await eventually(async () => (await slots(db)).length === 1);

  await expectExactlyOnce(db, receiver, 2_000);
  expect(daemon.lines.filter(({ message }) => message === "replication slot is made").length).toBeGreaterThan(1);
});

test("P2: a slot invalidated by max_slot_wal_keep_size, while it is away and while it streams is recreated, and all is answered", async () => {
  await using db = await startFaultServer({
    max_slot_wal_keep_size: "1MB",
    min_wal_size: "32MB",
    max_wal_size: "32MB",
  });
  await using receiver = await startReceiver();
  await (await startInProcess(db.url, ENV)).stop();
  await enqueue(db, receiver.url("/away"), 500);
  await eventually(async () => {
    await outgrow(db);
    return (await slots(db))[0]?.["wal_status"] === "lost";
  });

  await using network = await startNetwork(db.url);
  // Patient, so that it is the server that ends the session.
  await using daemon = await startInProcess(network.url, {
    ...ENV,
    PGNETD_SENDER_TIMEOUT_MS: "20000",
    PGNETD_FENCE_MS: "15000",
  });
  await emptied(db);
  expect(await slots(db)).toMatchObject([{ wal_status: "reserved", active: true }]);
  network.cutOff("replication");
  await enqueue(db, receiver.url("/streams"), 500);
  await eventually(async () => {
    await outgrow(db);
    return (await slots(db))[0]?.["wal_status"] === "lost";
  });
  network.restore("replication");
  await emptied(db);
  await eventually(async () => (await slots(db))[0]?.["wal_status"] === "reserved");

  await expectExactlyOnce(db, receiver, 1_000);
  expect(daemon.lines).toContainEqual(
    expect.objectContaining({ why: expect.stringContaining("invalidated") as string }),
  );
});

test("P2: a slot of that name made for another plugin is recreated", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("select pg_create_logical_replication_slot('pgnetd_' || current_database(), 'test_decoding')");
  await enqueue(db, receiver.url("/"), 100);
  await using _daemon = await startInProcess(db.url, ENV);
  await emptied(db);
  await expectExactlyOnce(db, receiver, 100);
  expect(await slots(db)).toMatchObject([{ slot_name: `pgnetd_${db.name}`, plugin: SLOT_PLUGIN }]);
});

test("P2 P4: the outbox truncated while 40,000 drain: nothing starts once that is streamed, to fast and slow destinations alike", async () => {
  await using db = await testDatabase();
  await using fast = await startReceiver();
  await using slow = await startReceiver();
  await using marker = await startReceiver({ host: "127.0.0.2" });
  slow.behave({ kind: "answer", delayMs: 500 });
  await using daemon = await startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "unlimited" });
  await using client = await connectClient(db.url);
  await client.query(
    "select count(net.http_get(case when g % 2 = 0 then $1 else $2 end || g)) from generate_series(1, 40000) g",
    [fast.url("/"), slow.url("/")],
  );
  await fast.waitFor(500);
  await slow.waitFor(70);
  const count = (): number => fast.requests.length + slow.requests.length;
  await client.query("truncate net.http_request_queue");
  const before = count();
  const [position] = await client.query<{ lsn: string }>("select pg_current_wal_insert_lsn()::text as lsn");
  const truncated = parseLsn(position?.lsn ?? "");
  await enqueue(client, marker.url("/"), 1);
  // A sweep may bring the marker before the stream has come to the truncate.
  await eventually(async () => {
    const { received } = (await healthOf(daemon.address)).positions;
    return received !== null && parseLsn(received) >= truncated;
  });
  const streamed = count();
  await marker.waitFor(1);
  await eventually(async () => {
    const { requests } = await healthOf(daemon.address);
    return requests.queued === 0 && requests.inFlight === 0;
  });
  const sent = count();
  const counts = { committed: sent, sent, lost: 0, repeated: 0 };
  const [kept] = await db.query<{ count: number }>("select count(*)::int from net._http_response");
  reportFault(
    { ...counts, answered: kept?.count ?? 0 },
    `${streamed - before} more until the truncate was streamed, ${sent - streamed} after it`,
  );
  // Those in flight had started.
  expect(sent - streamed).toBeLessThanOrEqual(2 * HOST_CONCURRENCY);
  expect(fast.countByPath().size + slow.countByPath().size).toBe(sent);
});
