import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectionConfig } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { startDaemon } from "../support/daemon.ts";
import { connectClient } from "../support/fault-clients.ts";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { type FaultServer, startFaultServer } from "../support/fault-server.ts";
import { startStream } from "../support/fault-stream.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

/** What /readyz says. */
async function readyz({ address }: InProcessDaemon): Promise<{ status: number; state: string; detail: string }> {
  const response = await fetch(`${address}/readyz`);
  return { status: response.status, ...((await response.json()) as { state: string; detail: string }) };
}

interface Expectation {
  /** In the reason and in the hint. */
  readonly why: RegExp;
  readonly mending: string;
}

/**
 * With no stream to be had: requests leave within 2 s, the state says why and what mends it, no line is repeated; when
 * mended the stream is taken up by itself.
 */
async function expectPolling(
  db: Pick<TestDatabase, "query">,
  daemon: InProcessDaemon,
  receiver: Receiver,
  { why, mending }: Expectation,
  mend: (() => Promise<void>) | null = null,
): Promise<void> {
  const delays: number[] = [];
  const shown = await eventually(async () => {
    const now = await readyz(daemon);
    return now.state === "polling" && now.detail.search(why) >= 0 && now;
  });
  expect(shown.status).toBe(200);
  expect(shown.detail).toContain(mending);
  for (let one = 1; one <= 4; one++) {
    const before = receiver.requests.length;
    const began = performance.now();
    await enqueue(db, receiver.url(`/polled${one}-`), 5);
    await receiver.waitFor(before + 5);
    delays.push(Math.round(performance.now() - began));
  }
  expect(Math.max(...delays)).toBeLessThan(2_000);
  const told = daemon.lines.filter((line) => String(line["reason"]).search(why) >= 0);
  expect(told.length).toBe(1);
  expect(told[0]?.["hint"]).toContain(mending);

  if (mend === null) return;
  await mend();
  const began = performance.now();
  await eventually(async () => (await readyz(daemon)).state === "live", 15_000);
  const mendedMs = Math.round(performance.now() - began);
  await enqueue(db, receiver.url("/streamed"), 5);
  await emptied(db);
  await expectExactlyOnce(
    db,
    receiver,
    25,
    `polled after ${delays.join(", ")} ms, streamed ${mendedMs} ms after the mending`,
  );
}

/** A daemon that is up, though not live. */
async function startPolling(url: string, env: Readonly<Record<string, string>> = {}): Promise<InProcessDaemon> {
  return startInProcess(url, env, "polling");
}

describe("P2: with no stream to be had requests leave within 2 s, it is said why, and it is taken up when mended", () => {
  let server: FaultServer;
  beforeAll(async () => {
    server = await startFaultServer({ max_replication_slots: "1", max_wal_senders: "1" });
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("max_replication_slots used up", async () => {
    await using receiver = await startReceiver();
    await server.query("truncate net._http_response");
    await server.query("select pg_create_physical_replication_slot('other')");
    await using daemon = await startPolling(server.url);
    await expectPolling(
      server,
      daemon,
      receiver,
      { why: /all replication slots are in use/, mending: "max_replication_slots" },
      async () => {
        await server.query("select pg_drop_replication_slot('other')");
      },
    );
  });

  test("max_wal_senders used up", async () => {
    await using receiver = await startReceiver();
    await server.query("truncate net._http_response");
    const other = new pg.Client({
      ...connectionConfig(server.url, "other"),
      replication: "database",
    } as pg.ClientConfig);
    other.on("error", () => undefined);
    // The stream of the test before may take a moment to end on the server.
    await eventually(async () => (await server.query("select from pg_stat_replication")).length === 0);
    await other.connect();
    await using daemon = await startPolling(server.url);
    await expectPolling(
      server,
      daemon,
      receiver,
      { why: /number of requested standby connections exceeds/, mending: "max_wal_senders" },
      async () => {
        await other.end();
      },
    );
  });
});

test("P2: REPLICATION revoked, and given back", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const role = `daemon_${db.name}`;
  await db.query(`create role ${role} login password 'secret' in role pg_read_all_data, pg_write_all_data`);
  try {
    await db.query(`grant all on all tables in schema net to ${role}`);
    const url = new URL(db.url);
    url.username = role;
    url.password = "secret";
    await using daemon = await startPolling(url.href);
    await expectPolling(
      db,
      daemon,
      receiver,
      { why: /start (walsender|WAL sender)/, mending: "right to replicate" },
      async () => {
        await db.query(`alter role ${role} replication`);
      },
    );
  } finally {
    await db.query(`reassign owned by ${role} to current_user; drop owned by ${role}`);
    await db.query(`drop role ${role}`);
  }
});

test("P2: wal_level is replica, and raised by a restart", async () => {
  await using db = await startFaultServer({ wal_level: "replica" });
  await using receiver = await startReceiver();
  await using daemon = await startPolling(db.url);
  await expectPolling(db, daemon, receiver, { why: /wal_level/, mending: "wal_level = logical" }, async () => {
    await db.server.stop("fast");
    await db.server.start({ wal_level: "logical" });
  });
});

test("P2: the slot's making waits for an old transaction", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using old = await connectClient(db.url);
  await old.query("set application_name = 'nightly report'");
  await old.query("begin");
  await old.query("create table public.report (n int)");
  const [own] = await old.query<{ pid: number; user: string }>(
    "select pg_backend_pid() as pid, current_user::text as user",
  );
  // The fence is shorter than the waiting: the session must be seen alive meanwhile.
  await using daemon = await startPolling(db.url, { PGNETD_SENDER_TIMEOUT_MS: "1000", PGNETD_FENCE_MS: "700" });
  await expectPolling(
    db,
    daemon,
    receiver,
    {
      why: new RegExp(`process ${own?.pid} .user ${own?.user}, application "nightly report"`),
      mending: "pg_terminate_backend",
    },
    async () => {
      await old.query("commit");
    },
  );
});

test("P2: the daemon killed while its slot waits to be made: the lock is free for the next at once", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using old = await connectClient(db.url);
  await old.query("begin");
  await old.query("create table public.report (n int)");
  const first = await startDaemon({ databaseUrl: db.url, waitUntilReady: false });
  await eventually(() => first.log().includes("can be made when these have ended"), 20_000);
  await first.kill();
  await enqueue(db, receiver.url("/"), 5);
  await using _second = await startPolling(db.url);
  await receiver.waitFor(5, 3_000);
  await old.query("commit");
  await emptied(db);
  await expectExactlyOnce(db, receiver, 5);
});

test("P2: the slot belongs to another database", async () => {
  await using db = await testDatabase();
  await using other = await testDatabase();
  await using receiver = await startReceiver();
  const name = `pgnetd_${db.name}`;
  await other.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [name]);
  await using daemon = await startPolling(db.url);
  await expectPolling(
    db,
    daemon,
    receiver,
    { why: new RegExp(`belongs to database "${other.name}"`), mending: "PGNETD_SLOT_NAME" },
    async () => {
      await other.query("select pg_drop_replication_slot($1)", [name]);
    },
  );
});

test.skipIf(SLOT_PLUGIN === "wal2json")("P2: the output plugin is not installed", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startPolling(db.url, { PGNETD_SLOT_PLUGIN: "wal2json" });
  await expectPolling(db, daemon, receiver, { why: /could not access file "wal2json"/, mending: "PGNETD_SLOT_PLUGIN" });
  const counts = await countFault(db, receiver, 20);
  reportFault(counts);
  expect(counts).toMatchObject({ committed: 20, sent: 20, lost: 0, repeated: 0 });
});

test("P2: another process holds the slot", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const holder = await startStream(db.url, { lock: { classId: 1, shard: 99 } });
  await using daemon = await startPolling(db.url);
  await expectPolling(db, daemon, receiver, { why: /is active for PID/, mending: "active_pid" }, async () => {
    await holder[Symbol.asyncDispose]();
  });
});

test.skipIf(SLOT_PLUGIN === "wal2json")("P2: a publication is missing at the start, and made", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await db.query("drop publication pgnetd_outbox");
  await using daemon = await startPolling(db.url);
  await expectPolling(
    db,
    daemon,
    receiver,
    { why: /publication "pgnetd_outbox" does not exist/, mending: "create publication pgnetd_outbox" },
    async () => {
      // P4: meanwhile no slot holds WAL for nothing.
      expect(await db.query("select from pg_replication_slots where database = current_database()")).toEqual([]);
      await db.query(
        "create publication pgnetd_outbox for table net.http_request_queue with (publish = 'insert, truncate')",
      );
    },
  );
});
