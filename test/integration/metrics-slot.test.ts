import pg from "pg";
import { expect, test } from "vitest";
import { type DatabaseReading, readDatabase } from "../../src/metrics/database-reading.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { openPool } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { testServer } from "../support/server.ts";

const SLOT = "pgnetd_watched";
/** A segment of WAL, as the server makes them. */
const SEGMENT = 16 * 1024 ** 2;

test("a slot that nobody reads shows how much is left to it, then that it is at risk, then why it is lost", async () => {
  await using server = await testServer({ wal_level: "logical", max_slot_wal_keep_size: "64MB", max_wal_size: "64MB" });
  const url = server.url();
  await migrate(url);
  await using pool = openPool({ url, size: 1, statementTimeoutMs: 60_000 });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const slotNow = async (): Promise<DatabaseReading["slot"]> => (await readDatabase(pool, SLOT)).slot;
    const { rows } = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    );
    const knowsInactivity = (rows[0]?.version ?? 0) >= 170_000;
    expect(await slotNow()).toMatchObject({
      health: "missing",
      retainedWalBytes: null,
      safeWalBytes: null,
      isActive: false,
    });

    await client.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT]);
    const fresh = await slotNow();
    expect(fresh).toMatchObject({ health: "ok", isActive: false, invalidationReason: null });
    expect(fresh.safeWalBytes).toBeGreaterThan(2 * SEGMENT);
    // PostgreSQL says since 17 what it did not before.
    const isRecent = fresh.inactiveSince === null ? null : Math.abs(Date.now() / 1_000 - fresh.inactiveSince) < 600;
    expect([isRecent, fresh.isSynced]).toEqual(knowsInactivity ? [true, false] : [null, null]);

    const write = async (): Promise<void> => {
      await client.query("select pg_logical_emit_message(false, 'test', 'x')");
      await client.query("select pg_switch_wal()");
    };
    await eventually(async () => {
      await write();
      return (await slotNow()).health === "at_risk";
    });
    const risky = await slotNow();
    expect(risky.retainedWalBytes).toBeGreaterThan(2 * SEGMENT);
    expect(risky.safeWalBytes).toBeLessThan(fresh.safeWalBytes ?? 0);

    await eventually(async () => {
      await write();
      await client.query("checkpoint");
      return (await slotNow()).health === "lost";
    }, 25_000);
    expect((await slotNow()).invalidationReason).toBe(knowsInactivity ? "wal_removed" : null);
  } finally {
    await client.end();
  }
});
