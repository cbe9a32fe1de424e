import { setTimeout as delay } from "node:timers/promises";

import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { startNetwork } from "../support/fault-network.ts";
import { startStream } from "../support/fault-stream.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";
import { latencies, quantile } from "../support/traffic.ts";

const MIB = 1024 * 1024;

/** A direct insert with a body of so many bytes: the stream has two digits for each. */
async function insertLarge(db: TestDatabase, bytes: number): Promise<void> {
  await db.query(
    "insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds) values ('POST', 'http://h/', '{}', convert_to(repeat('x', $1), 'UTF8'), 5000)",
    [bytes],
  );
}

test("P4 P5: a row of anybody that is larger than is read is passed over, and holds back no WAL", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url, { largestMessageBytes: MIB });
  await insertLarge(db, 500_000);
  await stream.waitFor(1);
  expect(stream.losses).toBe(0);
  await insertLarge(db, 1_000_000);
  await eventually(() => stream.losses > 0 && stream.sessions > 1);
  await db.query("select net.http_get('http://h/2')");
  await eventually(() => stream.ids.includes("3"));
  expect(stream.lines).toContainEqual(
    expect.objectContaining({ reason: expect.stringMatching(/^the stream has a message of 20\d{5} bytes$/) as string }),
  );
  await eventually(async () => {
    const [slot] = await db.query<{ behind: number }>(
      "select (pg_current_wal_lsn() - confirmed_flush_lsn)::float8 as behind from pg_replication_slots where database = current_database()",
    );
    return slot !== undefined && slot.behind < MIB;
  });
});

test("P5: large logical messages end no session and are not read, whatever their prefix", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url, { largestMessageBytes: MIB });
  for (const isTransactional of [false, true]) {
    for (const prefix of ["other", "pgnetd"]) {
      await db.query("select pg_logical_emit_message($1, $2, repeat('x', 20000000))", [isTransactional, prefix]);
    }
    await db.query("select pg_logical_emit_message($1, 'pgnetd', $2)", [isTransactional, `own ${isTransactional}`]);
  }
  await db.query("select net.http_get('http://h/1')");
  await stream.waitFor(1);
  expect(stream.messages).toEqual(["own false", "own true"]);
  expect({ losses: stream.losses, sessions: stream.sessions }).toEqual({ losses: 0, sessions: 1 });
});

test.concurrent.for(["pgnetd", "other"])(
  "the server is heard while a large message with the prefix %s comes slowly",
  async (prefix) => {
    await using db = await testDatabase();
    await using network = await startNetwork(db.url);
    network.limit("replication", 2 * MIB);
    let aliveAt = Infinity;
    let longestMs = 0;
    await using stream = await startStream(network.url, {
      heard: (at) => {
        longestMs = Math.max(longestMs, systemClock.now() - aliveAt);
        aliveAt = at;
      },
    });
    await db.query("select pg_logical_emit_message(false, $1, repeat('x', $2))", [prefix, 12 * MIB]);
    const begunAt = systemClock.now();
    await db.query("select net.http_get('http://h/1')");
    await stream.waitFor(1, 20_000);
    expect(systemClock.now() - begunAt).toBeGreaterThan(5_000);
    expect(longestMs).toBeLessThan(4_000);
    expect(stream.losses).toBe(0);
  },
);

const MESSAGES = "select count(pg_logical_emit_message(true, 'x', '')) from generate_series(1, $1)";
const ROWS = "insert into bulk select g, g, g from generate_series(1, $1) g";

interface Stall {
  readonly name: string;
  readonly text: string;
  /** How many a server decodes in some three seconds; a faster one is given twice as many until it stalls. */
  readonly many: number;
}

/** While wal2json skips rows the server says nothing for longer than `slot.fenceMs`: docs/operations.md says so. */
const STALLS: readonly Stall[] = [
  { name: "of logical messages", text: MESSAGES, many: 900_000 },
  ...(SLOT_PLUGIN === "pgoutput" ? [{ name: "of another table", text: ROWS, many: 2_400_000 }] : []),
];

/** A busy server is asked every 400 ms, and has not answered 100 ms later; then the outbox is swept, on processors that are all busy. In milliseconds. */
const NOTICED_MS = 1_500;

test.for(STALLS)(
  "P6: a large transaction $name that stalls the stream does not delay requests",
  { timeout: 240_000 },
  async ({ text, many }) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await db.query("create table bulk (a int, b int, c int)");
    await using daemon = await startDaemon({ databaseUrl: db.url, env: { PGNETD_RATE_PER_SECOND: "unlimited" } });
    await daemon.live();
    // Another stream of the same server shows how long its rows are late.
    const streamed = new Map<string, number>();
    const now = (): number => performance.timeOrigin + performance.now();
    await using _stream = await startStream(db.url, {
      slot: { name: `other_${db.name}`, plugin: SLOT_PLUGIN, temporary: true, failover: false },
      lock: { classId: LOCK_CLASS_ID, shard: 1 },
      senderTimeoutMs: 60_000,
      fenceMs: 2_500,
      inserted: ({ url }) => streamed.set(String(url), now()),
    });
    let stallMs = 0;
    for (let size = many; stallMs < 2 * NOTICED_MS; size *= 2) {
      let end = Infinity;
      const attack = delay(1_000)
        .then(() => db.query(text, [size]))
        .finally(() => (end = now()));
      const committed = new Map<string, number>();
      const isOver = (): boolean => [...committed].some(([url, at]) => at > end && streamed.has(url));
      while (!isOver()) {
        const url = receiver.url(`/${size}-${committed.size}`);
        await db.query("select net.http_get($1)", [url]);
        committed.set(url, now());
        await delay(50);
      }
      await attack;
      const delays = await latencies(committed, receiver);
      await eventually(() => [...committed.keys()].every((url) => streamed.has(url)), 90_000);
      stallMs = Math.max(...[...committed].map(([url, at]) => (streamed.get(url) ?? 0) - at));
      // Not the longest one: that is the machine's. Without the sweeps half of them would wait for a large part of the stall.
      expect(quantile(delays, 0.9)).toBeLessThan(Math.max(stallMs / 5, NOTICED_MS));
    }
  },
);
