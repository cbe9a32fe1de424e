import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { startNetwork } from "../support/fault-network.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase } from "../support/postgres.ts";

const MIB = 1024 * 1024;

test("P4 P5: a message of anybody that is larger than is read is passed over, and holds back no WAL", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url, { largestMessageBytes: MIB });
  await db.query("select pg_logical_emit_message(false, 'pgnetd', repeat('x', 1000000))");
  await db.query("select net.http_get('http://h/1')");
  await stream.waitFor(1);
  expect(stream.losses).toBe(0);
  await db.query("select pg_logical_emit_message(false, 'pgnetd', repeat('x', 2000000))");
  await eventually(() => stream.losses > 0 && stream.sessions > 1);
  await db.query("select net.http_get('http://h/2')");
  await eventually(() => stream.ids.includes("2"));
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

test("P5: large messages with a prefix of others end no session, however large", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url, { largestMessageBytes: MIB });
  for (const isTransactional of [false, true]) {
    await db.query("select pg_logical_emit_message($1, 'other', repeat('x', 20000000))", [isTransactional]);
    await db.query("select pg_logical_emit_message($1, 'pgnetd', $2)", [isTransactional, `own ${isTransactional}`]);
  }
  await db.query("select net.http_get('http://h/1')");
  await stream.waitFor(1);
  expect(stream.messages).toEqual(["own false", "own true"]);
  expect({ losses: stream.losses, sessions: stream.sessions }).toEqual({ losses: 0, sessions: 1 });
});

test.for(["pgnetd", "other"])(
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
