import pg from "pg";
import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { connectionConfig } from "../../src/pg/pool.ts";
import { makeSlot } from "../../src/slot/creation.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentLog } from "../support/silent-log.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

async function slots(db: TestDatabase, columns = "temporary"): Promise<Record<string, unknown>[]> {
  return db.query(`select ${columns} from pg_replication_slots where database = current_database()`);
}

async function answered(db: TestDatabase, count: number): Promise<void> {
  await eventually(async () => (await db.query("select from net._http_response")).length === count);
}

test("P2, P4: a temporary slot goes with the daemon, and what was committed meanwhile is sent at the next start", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const call = (path: string): Promise<unknown> => db.query("select net.http_get($1)", [receiver.url(path)]);
  const env = { PGNETD_SLOT_TEMPORARY: "true" };
  const first = await startInProcess(db.url, env);
  expect(await slots(db)).toEqual([{ temporary: true }]);
  await call("/while-up");
  await answered(db, 1);
  await first.stop();
  await eventually(async () => (await slots(db)).length === 0);

  await call("/while-down");
  await using _second = await startInProcess(db.url, env);
  await answered(db, 2);
  expect([...receiver.countByPath()]).toEqual([
    ["/while-up", 1],
    ["/while-down", 1],
  ]);
});

test("a permanent slot of that name gives way to a temporary one, and back", async () => {
  await using db = await testDatabase();
  await (await startInProcess(db.url)).stop();
  expect(await slots(db)).toEqual([{ temporary: false }]);
  await (await startInProcess(db.url, { PGNETD_SLOT_TEMPORARY: "true" })).stop();
  await eventually(async () => (await slots(db)).length === 0);
  await using _daemon = await startInProcess(db.url);
  expect(await slots(db)).toEqual([{ temporary: false }]);
});

test("a slot for failover is made where the server knows them; elsewhere the log says so, and requests are sent", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const [server] = await db.query<{ major: number }>(
    "select current_setting('server_version_num')::int / 10000 as major",
  );
  const hasFailover = (server?.major ?? 0) >= 17;
  await using daemon = await startInProcess(db.url, { PGNETD_SLOT_FAILOVER: "true" }, hasFailover ? "live" : "polling");
  const wanted = hasFailover ? '"failover":true' : "needs PostgreSQL 17 or newer";
  await eventually(async () =>
    JSON.stringify(hasFailover ? await slots(db, "failover") : daemon.lines).includes(wanted),
  );
  await db.query("select net.http_get($1)", [receiver.url()]);
  await answered(db, 1);
  expect(receiver.requests).toHaveLength(1);
});

test("P2: while another session of the daemon leads a slot is waited for that cannot be made yet, as long as its own session lives", async () => {
  await using db = await testDatabase();
  const old = await db.pool.connect();
  const maker = new pg.Client({ connectionString: db.url, replication: "database" } as pg.ClientConfig);
  maker.on("error", () => undefined);
  await maker.connect();
  const make = (name: string): { readonly blocked: Promise<string>; readonly made: Promise<void> } => {
    const { promise: blocked, resolve } = Promise.withResolvers<string>();
    const made = makeSlot(
      maker,
      { name, plugin: SLOT_PLUGIN, temporary: true, failover: false },
      {
        connection: connectionConfig(db.url, "test"),
        lock: { classId: LOCK_CLASS_ID, shard: 0 },
        answerMs: 5_000,
        clock: systemClock,
        log: silentLog,
        heard: null,
        outage: ({ reason }) => resolve(reason),
      },
      new AbortController().signal,
    );
    made.catch(() => undefined);
    return { blocked, made };
  };
  try {
    await old.query("begin; select pg_current_xact_id()");
    const first = make(`${db.name}_1`);
    expect(await Promise.race([first.blocked, first.made])).toMatch(/can be made when these have ended/);
    await old.query("commit");
    await first.made;
    await old.query("begin; select pg_current_xact_id()");
    const second = make(`${db.name}_2`);
    await second.blocked;
    await db.query("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", [
      `${db.name}_2`,
    ]);
    await expect(second.made).rejects.toThrow(/terminat|connection|is gone/i);
  } finally {
    old.release(true);
    await maker.end().catch(() => undefined);
  }
});
