import { expect, test } from "vitest";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import { changeOf, readVersion, selectVersion } from "../../src/wal/publication-check.ts";
import { testDatabase } from "../support/postgres.ts";

test.each([
  ["alter publication pgnetd_outbox set (publish = 'insert, update')", "the publications were changed"],
  ["drop publication pgnetd_settings", "the publications were changed"],
  ["alter table net.http_request_queue add column x int", "a published table has one more column"],
  ["alter table net.http_host_settings enable row level security", "row security of a published table was changed"],
])("after %s the daemon says that %s", async (statement, expected) => {
  await using db = await testDatabase();
  await db.query("grant usage on schema net to pg_monitor");
  const client = await db.pool.connect();
  const version = async (): Promise<string> => {
    await client.query("set role pg_monitor");
    const { rows } = await client.query(selectVersion(PUBLICATIONS));
    await client.query("reset role");
    return readVersion(rows);
  };
  try {
    const before = await version();
    await client.query(statement);
    expect(changeOf(before, await version())).toBe(expected);
  } finally {
    client.release();
  }
});
