import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
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
