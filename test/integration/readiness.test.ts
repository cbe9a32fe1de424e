import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { emptied } from "../support/outbox.ts";
import { runCommandLine } from "../support/command.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { openTestPool } from "../support/pool.ts";
import { testDatabase, testServer } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

test("a leader whose sweeps fail several times in a row is not ready, says why, logs it once, and is ready again", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  const ready = async (): Promise<readonly [status: number, detail: string]> => {
    const response = await fetch(`${daemon.address}/readyz`);
    return [response.status, ((await response.json()) as { readonly detail: string }).detail];
  };
  expect((await ready())[0]).toBe(200);
  await db.query("alter table net.http_request_queue rename column options to choices");
  await db.query("select net.wake()");
  const detail = await eventually(async () => {
    const [status, why] = await ready();
    return status === 503 && why;
  });
  expect(detail).toMatch(
    /^leading, but the outbox could not be read \d+ times in a row: column .*options.* \(42703\)$/,
  );
  expect((await fetch(`${daemon.address}/healthz`)).status).toBe(200);

  await db.query("alter table net.http_request_queue rename column choices to options");
  await eventually(async () => (await ready())[0] === 200);
  await db.query("select net.http_get($1)", [receiver.url("/after")]);
  await emptied(db);
  const said = daemon.lines.filter(({ message }) => /^the outbox (could not be|is) read/.test(String(message)));
  expect(said.map(({ message, code }) => [message, code])).toEqual([
    ["the outbox could not be read; trying again", "42703"],
    ["the outbox is read again", undefined],
  ]);
});

test("where its password was changed, a daemon goes on with its open sessions, then says that it needs a restart, and sends after one", async () => {
  await using server = await testServer({ wal_level: "logical" });
  await migrate(server.url());
  const admin = openTestPool({ connectionString: server.url() });
  const url = new URL(server.url());
  url.username = "sender";
  url.password = "the-first";
  const RESTART = "A daemon that runs needs a restart for a new password.";
  try {
    await admin.query("create role sender superuser login replication password 'the-first'");
    {
      await using daemon = await startInProcess(url.href);
      await admin.query("alter role sender password 'the-second'");
      const refused = await runCommandLine(url.href, "status");
      expect(refused.failure).toMatchObject({ code: "PG_REFUSED", hint: expect.stringContaining(RESTART) as unknown });
      expect((await fetch(`${daemon.address}/readyz`)).status).toBe(200);
      await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'sender'");
      const said = await eventually(() =>
        daemon.lines.find(({ message }) => message === "no connection to the database"),
      );
      expect(said).toMatchObject({ sqlstate: "28P01", hint: expect.stringContaining(RESTART) as unknown });
      expect((await fetch(`${daemon.address}/readyz`)).status).toBe(503);
    }
    url.password = "the-second";
    await using _daemon = await startInProcess(url.href);
  } finally {
    await admin.end();
  }
});

const BLOCKED_READINGS = `select query_start::text as since from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and query ~ '^\\s*select pg_catalog.pg_current_wal_insert_lsn'`;

test("P6 P8: requests are sent while /readyz is asked ten times a second and a session has locked what it reads", async () => {
  // Of its own: no slot can be created on a server where a transaction has a lock of this kind.
  await using server = await testServer({ wal_level: "logical" });
  await migrate(server.url());
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(server.url(), { PGNETD_POOL_SIZE: "2" });
  const pool = openTestPool({ connectionString: server.url() });
  const probed = new Set<number>();
  const stop = new AbortController();
  const probe = async (): Promise<void> => {
    for (; !stop.signal.aborted; await delay(100)) probed.add((await fetch(`${daemon.address}/readyz`)).status);
  };
  const readings = new Set<string>();
  let atOnce = 0;
  let probing: Promise<void> | undefined;
  const locking = await pool.connect();
  try {
    await locking.query("begin; lock table net.http_dead_letter in access exclusive mode");
    probing = probe();
    while (readings.size < 3) {
      await pool.query("select net.http_get($1)", [receiver.url()]);
      // Less than the 30 s after which a statement that waits for a lock ends by itself.
      await eventually(async () => (await pool.query("select from net.http_request_queue")).rowCount === 0, 15_000);
      const { rows } = await pool.query<{ since: string }>(BLOCKED_READINGS);
      atOnce = Math.max(atOnce, rows.length);
      for (const { since } of rows) readings.add(since);
    }
  } finally {
    stop.abort();
    locking.release(true);
    await probing;
    await pool.end();
  }
  expect([atOnce, [...probed]]).toEqual([1, [200]]);
});

test("P8: for /readyz no more than a thousand rows of the outbox are counted", async () => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (method, url, timeout_milliseconds, next_attempt_at)
     select 'GET', 'http://a.example/', 1000, now() + interval '1 hour' from generate_series(1, 1001)`,
  );
  await using daemon = await startInProcess(db.url);
  await eventually(async () => {
    const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { requests: { outbox: number | null } };
    expect(health.requests.outbox).toBe(1_000);
    return true;
  });
});
