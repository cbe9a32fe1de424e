import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { setTimeout as delay } from "node:timers/promises";
import { RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { type OutboxRow, readRow } from "../../src/outbox/row.ts";
import { sweep } from "../../src/outbox/sweep.ts";
import { openPool } from "../../src/pg/pool.ts";
import { openDecoder } from "../../src/wal/decoder.ts";
import { commitsWaiting, requireAbsentStandby, requireNoStandby } from "../support/absent-standby.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { countFault, expectExactlyOnce } from "../support/fault-report.ts";
import type { FaultServer } from "../support/fault-server.ts";
import { startStream } from "../support/fault-stream.ts";
import { hasWal2json, startWal2jsonServer } from "../support/fault-wal2json.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { lanesBehind, startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";
import { sweepPlan } from "../support/sweep-plan.ts";

const ENV = {
  PGNETD_SLOT_PLUGIN: "wal2json",
  PGNETD_RATE_PER_SECOND: "1000",
  // A busy machine must not look like a lost connection here.
  PGNETD_SENDER_TIMEOUT_MS: "20000",
  PGNETD_FENCE_MS: "15000",
};
const CONTEXT = { maxRedirects: 5, installationMarks: [] };

/** Rows of every kind that the functions make, and some that only a direct insert does. */
const ROWS = `
insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds, next_attempt_at, attempts, deduplication_key, options) values
  (9007199254740993, 'GET', 'http://x/é"\\"type":"bigint","value":1', '{"a": "b", "n": 1.50, "ü": null, "o": {"p": [1]}}', null, 5000, null, 0, null, null),
  (2, 'POST', 'http://x/' || E'\\t\\r\\n\\u0001\\\\', '{}', '\\x00ff5c22', 1, '2036-05-04 03:02:01.123456+05:30', 3, 'key', '{"max_attempts": 7, "keep": "status"}'),
  (3, 'DELETE', 'http://x/', null, '', 2147483647, '1999-12-31 23:59:59Z', 0, null, '{}'),
  (4, 'HEAD', '', '{"x": ""}', convert_to(repeat('ü', 100000), 'UTF8'), -1, null, 0, null, '{"max_redirects": 0}'),
  (-5, 'PUT', 'x', '{}', null, 0, null, 0, null, '{"keep": "nothing of the kind"}')`;

/** Commits wait for a standby that is not there, where a session asks for it, until this is closed. */
async function withoutStandby(db: FaultServer): Promise<AsyncDisposable> {
  await requireAbsentStandby(db);
  return { [Symbol.asyncDispose]: () => requireNoStandby(db) };
}

describe.skipIf(!hasWal2json())("slot.plugin: wal2json", () => {
  let db: FaultServer;
  beforeAll(async () => {
    db = await startWal2jsonServer({ synchronous_commit: "local" });
  });
  afterAll(async () => {
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.query("truncate net.http_request_queue, net._http_response, net.http_response_detail");
  });

  test("rows read from wal2json, from pgoutput and by a sweep are the same", async () => {
    const streamed: Record<"pgoutput" | "wal2json", OutboxRow[]> = { pgoutput: [], wal2json: [] };
    const open = (plugin: "pgoutput" | "wal2json", shard: number): ReturnType<typeof startStream> =>
      startStream(db.url, {
        slot: { name: `same_${plugin}`, plugin, temporary: true, failover: false },
        lock: { classId: 1, shard },
        decoder: openDecoder(plugin),
        inserted: (row) => streamed[plugin].push(readRow(row, CONTEXT)),
      });
    await using pgoutput = await open("pgoutput", 1);
    await using wal2json = await open("wal2json", 2);
    await db.query(ROWS);
    await pgoutput.waitFor(5);
    await wal2json.waitFor(5);
    await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 5_000 });
    const swept = await sweep(pool, sweepPlan({ rows: 100, perLane: 100, bytes: 1 << 30 }), {
      ...CONTEXT,
      assertSame: () => undefined,
    });
    const byId = (rows: readonly OutboxRow[]): OutboxRow[] =>
      rows.toSorted((one, other) => Number(one.request.id - other.request.id));
    expect(byId(streamed.wal2json)).toEqual(byId(streamed.pgoutput));
    // The sweep leaves those for later where they are.
    const now = streamed.wal2json.filter(
      ({ nextAttemptAt }) => nextAttemptAt === null || Date.parse(nextAttemptAt) < Date.now(),
    );
    expect(byId(now)).toEqual(byId(swept.rows));
    expect(wal2json.messages).toEqual([]);
    await db.query("select net.wake(), pg_logical_emit_message(true, 'other', 'not ours')");
    await eventually(() => wal2json.messages.length > 0);
    expect(wal2json.messages).toEqual(['{"command":"wake"}']);
  });

  test("P2 P3: the walsender ended again and again while 2,000 drain: all answered, nothing repeated", async () => {
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await using _daemon = await startInProcess(db.url, ENV);
    await enqueue(db, receiver.url("/a"), 1_000);
    for (let part = 100; part <= 1_900; part += 300) {
      await receiver.waitFor(part, 20_000);
      await db.query("select pg_terminate_backend(active_pid) from pg_replication_slots where active");
      if (part !== 400) continue;
      for (let one = 1; one <= 100; one++) await enqueue(db, receiver.url(`/b${one}-`), 10);
    }
    await emptied(db);
    await expectExactlyOnce(db, receiver, 2_000);
    const slots = await db.query("select plugin from pg_replication_slots");
    expect(slots).toEqual([{ plugin: "wal2json" }]);
  });

  test("P1 P2 P3: savepoints, late commits and full memory: each once, nothing rolled back", async () => {
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 5 });
    await using daemon = await startInProcess(db.url, { ...ENV, PGNETD_MEMORY_REQUESTS: "100" });
    await using late = await connectClient(db.url);
    await late.query("begin");
    await enqueue(late, receiver.url("/late"), 5);
    await late.query("savepoint s");
    await enqueue(late, receiver.url("/never"), 5);
    await late.query("rollback to s");
    await late.query("savepoint t");
    await enqueue(late, receiver.url("/released"), 5);
    await late.query("release t");
    await enqueue(db, receiver.url("/flood"), 1_000);
    await eventually(async () => (await lanesBehind(daemon)) !== 0);
    await receiver.waitFor(300);
    await late.query("commit");
    await emptied(db);
    await expectExactlyOnce(db, receiver, 1_010);
    expect(receiver.requests.filter(({ path }) => path.startsWith("/never"))).toEqual([]);
  });

  test("P2 P3: a commit decoded before it is visible: nothing lost, left behind or repeated", async () => {
    await using receiver = await startReceiver();
    await using _daemon = await startInProcess(db.url, ENV);
    await using client = await connectClient(db.url);
    await using standby = await withoutStandby(db);
    await client.query("set synchronous_commit = on");
    const committed = enqueue(client, receiver.url("/unseen"), 40);
    await eventually(async () => (await commitsWaiting(db)) === 1);
    await receiver.waitFor(40);
    await enqueue(db, receiver.url("/other"), 40);
    await receiver.waitFor(80);
    expect(await db.query("select from net.http_request_queue where url like '%/unseen%'")).toEqual([]);
    await delay(500);
    await standby[Symbol.asyncDispose]();
    await committed;
    await emptied(db);
    await eventually(async () => (await db.query("select from net._http_response")).length === 80);
    await expectExactlyOnce(db, receiver, 80);
  });

  test("P2: the slot lost, and one of another plugin in its place: it is recreated", async () => {
    await using receiver = await startReceiver();
    await using _daemon = await startInProcess(db.url, ENV);
    await eventually(async () => {
      await db.query("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where active");
      const dropped = await db.query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active",
      );
      return dropped.length > 0;
    });
    await db.query("select pg_create_logical_replication_slot('pgnetd_postgres', 'pgoutput')").catch(() => undefined);
    await enqueue(db, receiver.url("/"), 100);
    await emptied(db);
    await eventually(async () => {
      const [slot] = await db.query("select plugin, active from pg_replication_slots");
      return slot?.["plugin"] === "wal2json" && slot["active"] === true;
    }, 15_000);
    await enqueue(db, receiver.url("/after"), 100);
    await emptied(db);
    await expectExactlyOnce(db, receiver, 200);
  });

  test("P2 P4: a server that does not trust the plugin any more: swept, said so, no slot left, and taken up when it does", async ({
    skip,
  }) => {
    const [trusted] = await db.query("select from pg_settings where name = 'output_plugin_libraries'");
    if (trusted === undefined) return skip("this release has no output_plugin_libraries");
    await using receiver = await startReceiver();
    {
      await using _before = await startInProcess(db.url, ENV);
    }
    await db.query("alter role current_user set output_plugin_libraries = pgoutput");
    await using daemon = await startInProcess(db.url, ENV, "polling");
    await enqueue(db, receiver.url("/swept"), 10);
    await emptied(db);
    const slots = async (): Promise<unknown[]> => db.query("select plugin from pg_replication_slots");
    await eventually(async () => (await slots()).length === 0);
    expect(daemon.lines).toContainEqual(
      expect.objectContaining({
        sqlstate: "42501",
        hint: expect.stringContaining("output_plugin_libraries") as unknown,
      }),
    );
    await db.query("alter role current_user reset output_plugin_libraries");
    await eventually(async () => (await slots()).length === 1, 15_000);
    await enqueue(db, receiver.url("/streamed"), 10);
    await emptied(db);
    expect(await countFault(db, receiver, 20)).toMatchObject({ sent: 20, lost: 0, repeated: 0 });
  });

  test("P2: large bodies, requests for later, settings of hosts and a truncate take effect", async () => {
    await using receiver = await startReceiver();
    await using _daemon = await startInProcess(db.url, ENV);
    const body = "é".repeat(2_500_000);
    await db.query("select net.http_request('POST', $1, $2::text)", [receiver.url("/large"), body]);
    await receiver.waitFor(1);
    expect(receiver.requests[0]?.body.equals(Buffer.from(body))).toBe(true);

    const began = performance.now();
    await db.query("select net.http_request('POST', $1, 'later', delay := '700 milliseconds')", [
      receiver.url("/later"),
    ]);
    await receiver.waitFor(2);
    expect(performance.now() - began).toBeGreaterThan(690);

    receiver.behave({ kind: "answer", delayMs: 300 });
    await enqueue(db, receiver.url("/flood"), 2_000);
    await receiver.waitFor(70);
    await db.query("truncate net.http_request_queue");
    const sent = receiver.requests.length;
    await delay(1_000);
    // Of some thousand that were in memory.
    expect(receiver.requests.length - sent).toBeLessThan(150);
    await enqueue(db, receiver.url("/after"), 10);
    await receiver.waitFor(sent + 10);
    await emptied(db);
    expect(receiver.requests.filter(({ path }) => path.startsWith("/after"))).toHaveLength(10);
  });

  test("P8: keeps up with a database that writes much and requests nothing", async () => {
    // With the usual timeouts: positions are confirmed several times within them.
    await using _daemon = await startInProcess(db.url, { PGNETD_SLOT_PLUGIN: "wal2json" });
    await db.query("create table if not exists public.other (n int, filler text)");
    const position = async (): Promise<{ behind: number; at: number }> => {
      const [row] = await db.query<{ behind: number; at: number }>(
        `select (pg_current_wal_lsn() - confirmed_flush_lsn)::float8 as behind, (pg_current_wal_lsn() - '0/0')::float8 as at
        from pg_replication_slots`,
      );
      return row ?? { behind: 0, at: 0 };
    };
    const { at: from } = await position();
    let most = 0;
    const began = performance.now();
    while (performance.now() - began < 4_000) {
      await db.query("insert into public.other select g, repeat('x', 200) from generate_series(1, 500) g");
      most = Math.max(most, (await position()).behind);
    }
    const written = (await position()).at - from;
    expect(written).toBeGreaterThan(16 * 1024 ** 2);
    // Confirmed every 800 ms; the walsender itself needs its time for what is written at such a pace.
    expect(most).toBeLessThan(Math.max(16 * 1024 ** 2, written / 2));
    await eventually(async () => (await position()).behind <= Number(RESERVE_BYTES));
  });
});
