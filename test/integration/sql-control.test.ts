import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { MESSAGE_PREFIX } from "../../src/wal/events.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { eventually } from "../support/eventually.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
let leader: pg.Client;
beforeAll(async () => {
  db = await testDatabase();
  leader = new pg.Client({ connectionString: db.url });
  await leader.connect();
});
afterAll(async () => {
  await leader.end();
  await db[Symbol.asyncDispose]();
});

async function lead(shard = 0): Promise<void> {
  await leader.query("select pg_advisory_lock($1, $2)", [LOCK_CLASS_ID, shard]);
}

async function resign(): Promise<void> {
  await leader.query("select pg_advisory_unlock_all()");
}

describe("net.check_worker_is_up", () => {
  test("raises, with pg_net's words, where no daemon leads", async () => {
    await expect(db.query("select net.check_worker_is_up()")).rejects.toMatchObject({
      code: "55000",
      message: "the pg_net background worker is not up",
      detail: `No pgnetd daemon leads the database ${db.name}.`,
      hint: "Start pgnetd for this database. Requests made meanwhile wait in net.http_request_queue and are not lost.",
    });
  });

  test.each([0, 3])("returns nothing where one leads shard %d", async (shard) => {
    await lead(shard);
    expect(await db.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
    await resign();
    await expect(db.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
  });

  test("returns nothing while the lead goes from one session of a daemon to another", async () => {
    await leader.query("select pg_advisory_lock($1, 0)", [HANDOVER_CLASS_ID]);
    expect(await db.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
    await resign();
  });

  test("is not taken in by other locks, nor by a daemon that leads another database", async () => {
    await using other = await testDatabase();
    await leader.query("select pg_advisory_lock($1::bigint), pg_advisory_lock(1, $1::int)", [LOCK_CLASS_ID]);
    const elsewhere = new pg.Client({ connectionString: other.url });
    await elsewhere.connect();
    await elsewhere.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    await expect(db.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
    expect(await other.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
    await elsewhere.end();
    await resign();
  });

  test("raises while a session that is no daemon has the lock, and a daemon waits for it", async () => {
    await using role = await daemonRole();
    const stranger = new pg.Client({ connectionString: role.login(db.url) });
    await stranger.connect();
    await stranger.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    const waiting = lead();
    const waits = "select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'";
    await eventually(async () => (await db.query(waits)).length > 0);
    await expect(db.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
    await stranger.end();
    await waiting;
    expect(await db.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
    await resign();
  });
});

describe("net.wait_until_running", () => {
  test("returns once a daemon leads", async () => {
    let waiting = true;
    const done = db.query("select net.wait_until_running()").then(() => (waiting = false));
    await expect
      .poll(() =>
        db.query("select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"),
      )
      .toHaveLength(1);
    expect(waiting).toBe(true);
    await lead();
    await done;
    await db.query("select net.wait_until_running()");
    await resign();
    expect(waiting).toBe(false);
  });

  test("is ended by statement_timeout", async () => {
    const call = "begin; set local statement_timeout = '30ms'; select net.wait_until_running(); commit";
    await expect(db.query(call)).rejects.toMatchObject({ code: "57014" });
    await db.query("rollback");
  });
});

test("a transaction that has read pg_stat_activity before a daemon began finds it", async () => {
  const caller = await db.pool.connect();
  const daemon = new pg.Client({ connectionString: db.url });
  try {
    await caller.query("begin; set local statement_timeout = '10s'; select from pg_stat_activity; savepoint before");
    await expect(caller.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
    await caller.query("rollback to before; select from pg_stat_activity");
    await daemon.connect();
    await daemon.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    await caller.query("select net.check_worker_is_up()");
    await caller.query("select net.wait_until_running()");
    await daemon.query("select pg_advisory_unlock_all()");
    await expect(caller.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
  } finally {
    await daemon.end();
    caller.release(true);
  }
});

test("net.wait_until_running finds a daemon that begins while it waits, in a transaction that has read pg_stat_activity", async () => {
  const caller = await db.pool.connect();
  const daemon = new pg.Client({ connectionString: db.url });
  try {
    await caller.query("begin; set local statement_timeout = '20s'; select from pg_stat_activity");
    const done = caller.query("select net.wait_until_running()");
    await eventually(async () => {
      const waits = "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
      return (await db.query(waits)).length === 1;
    });
    await daemon.connect();
    await daemon.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    await expect(done).resolves.toMatchObject({ rowCount: 1 });
  } finally {
    await daemon.end();
    caller.release(true);
  }
});

describe("messages to the daemon", () => {
  const SLOT_WAITS = { timeout: 20_000, interval: 100 };

  /** Texts of our logical messages that the slot has, in order, and nothing of those before. */
  async function messages(): Promise<string[]> {
    const rows = await db.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes($1, null, null, 'proto_version', '1',
        'publication_names', 'pgnetd_outbox', 'messages', 'true') where get_byte(data, 0) = ascii('M')`,
      [`${db.name}_slot`],
    );
    return rows
      .map((row) => row.data.toString().split(`${MESSAGE_PREFIX}\0`)[1])
      .filter((content) => content !== undefined)
      .map((content) => content.slice(content.indexOf("{")));
  }

  beforeAll(async () => {
    await db.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`${db.name}_slot`]);
    await eventually(async () => {
      await db.query("select pg_logical_emit_message(false, $1, '{}'), pg_current_xact_id()", [MESSAGE_PREFIX]);
      return (await messages()).length > 0;
    });
  });

  test("net.worker_restart acts at once, also in a transaction that is rolled back", async () => {
    expect(await db.query("select net.worker_restart() as r")).toEqual([{ r: true }]);
    await expect.poll(messages, SLOT_WAITS).toEqual(['{"command":"restart"}']);
    const client = await db.pool.connect();
    await client.query("begin; select net.worker_restart()");
    // Before PostgreSQL 17 the commit of any other session flushes it.
    await db.query("select pg_current_xact_id()");
    await expect.poll(messages, SLOT_WAITS).toEqual(['{"command":"restart"}']);
    await client.query("rollback");
    client.release();
  });

  test("net.wake acts when the transaction commits", async () => {
    await db.query("begin; select net.wake(); rollback");
    await db.query("select net.wake()");
    expect(await messages()).toEqual(['{"command":"wake"}']);
  });
});

describe("net.http_host_settings", () => {
  test.each([
    ["'Example.com'", "host_is_lower_case"],
    ["'https://example.com'", "host_is_a_name_without_scheme_port_or_path"],
    ["'example.com:80'", "host_is_a_name_without_scheme_port_or_path"],
    ["''", "host_is_a_name_without_scheme_port_or_path"],
    ["'h', 0", "rate_per_second_is_above_zero"],
    ["'h', 1, 0", "concurrency_is_above_zero"],
  ])("refuses (%s)", async (values, constraint) => {
    await expect(db.query(`insert into net.http_host_settings values (${values})`)).rejects.toMatchObject({
      code: "23514",
      constraint,
    });
  });

  test("can be set, changed and deleted, each change published", async () => {
    await db.query(
      "insert into net.http_host_settings values ('example.com', 0.5, 2), ('[::1]', 10, null), ('10.0.0.1', null, 1)",
    );
    await db.query("update net.http_host_settings set paused = true");
    await db.query("delete from net.http_host_settings");
    expect(
      await db.query("select pubname::text from pg_publication_tables where tablename = 'http_host_settings'"),
    ).toEqual([{ pubname: "pgnetd_settings" }]);
  });
});
