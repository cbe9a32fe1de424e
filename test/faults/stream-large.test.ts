import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { lanesBehind, startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const UNLIMITED = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** This many rows in one transaction, without the cost of the functions. */
async function insertMany(db: Pick<TestDatabase, "query">, receiver: Receiver, count: number): Promise<void> {
  await db.query(
    `insert into net.http_request_queue (method, url, headers, timeout_milliseconds)
    select 'GET', $1 || g, '{}', 5000 from generate_series(1, $2::int) g`,
    [receiver.url("/"), count],
  );
}

test("P2 P3: rows with low ids that commit late, across start, catch-up and full memory, are sent once", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 5 });
  await using atStart = await connectClient(db.url);
  await using inCatchUp = await connectClient(db.url);
  await using inOverflow = await connectClient(db.url);
  await using whenLive = await connectClient(db.url);
  for (const [index, client] of [atStart, inCatchUp, inOverflow, whenLive].entries()) {
    await client.query("begin");
    await enqueue(client, receiver.url(`/late${index}-`), 5);
  }
  await enqueue(db, receiver.url("/waiting"), 1_000);
  const starting = startInProcess(db.url, { PGNETD_RATE_PER_SECOND: "1000", PGNETD_MEMORY_REQUESTS: "100" }, "polling");
  await receiver.waitFor(1);
  await atStart.query("commit");
  await using daemon = await starting;
  await receiver.waitFor(500);
  await inCatchUp.query("commit");
  await emptied(db);
  // The slot can be made only now that the other transactions have ended, too, or they never would.
  await enqueue(db, receiver.url("/flood"), 1_000);
  await receiver.waitFor(1_300);
  await inOverflow.query("commit");
  await emptied(db);
  await whenLive.query("commit");
  await eventually(async () => (await db.query("select from net._http_response")).length === 2_020);
  await emptied(db);
  // Transactions of others on the same server may hold the slot up for longer.
  await eventually(() => daemon.lines.some(({ message, to }) => message === "phase" && to === "catch-up"));
  await expectExactlyOnce(db, receiver, 2_020);
});

test("P2 P3: the same with a stream: late commits in catch-up, with full memory and live", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 5 });
  const env = { PGNETD_RATE_PER_SECOND: "1000", PGNETD_MEMORY_REQUESTS: "100" };
  await (await startInProcess(db.url, env)).stop();
  await using inCatchUp = await connectClient(db.url);
  await using inOverflow = await connectClient(db.url);
  await using whenLive = await connectClient(db.url);
  for (const [index, client] of [inCatchUp, inOverflow, whenLive].entries()) {
    await client.query("begin");
    await enqueue(client, receiver.url(`/late${index}-`), 5);
  }
  await enqueue(db, receiver.url("/waiting"), 1_000);
  const starting = startInProcess(db.url, env);
  await receiver.waitFor(500);
  await inCatchUp.query("commit");
  await using daemon = await starting;
  await eventually(async () => (await lanesBehind(daemon)) === 0);
  await enqueue(db, receiver.url("/flood"), 1_000);
  await eventually(async () => (await lanesBehind(daemon)) === 1);
  await receiver.waitFor(1_400);
  await inOverflow.query("commit");
  await emptied(db);
  await whenLive.query("commit");
  await eventually(async () => (await db.query("select from net._http_response")).length === 2_015);
  await emptied(db);
  await expectExactlyOnce(db, receiver, 2_015);
});

test.each([1, 1_000, 20_000])("P2 P3: one transaction of %i rows", async (rows) => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url, UNLIMITED);
  await insertMany(db, receiver, rows);
  const began = performance.now();
  await receiver.waitFor(1);
  const firstMs = Math.round(performance.now() - began);
  await emptied(db);
  const totalMs = Math.round(performance.now() - began);
  await expectExactlyOnce(db, receiver, rows, `the first within ${firstMs} ms of the commit, all within ${totalMs} ms`);
});

test("P2 P3: bodies from 1 byte to 10 MB, streamed and swept, in 1 MiB of memory", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  const sizes = [1, 1_000, 100_000, 1_000_000, 10_000_000];
  const insert = async (way: string): Promise<void> => {
    for (const size of sizes) {
      await db.query(
        `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
        values ('POST', $1, '{}', convert_to(substr(repeat(md5($1), $2::int / 32 + 1), 1, $2::int), 'UTF8'), 20000)`,
        [receiver.url(`/${way}/${size}`), size],
      );
    }
  };
  await insert("swept");
  await using _daemon = await startInProcess(db.url, { ...UNLIMITED, PGNETD_MEMORY_BYTES: "1MiB" });
  await emptied(db);
  await insert("streamed");
  await emptied(db);
  const counts = await countFault(db, receiver, 2 * sizes.length);
  reportFault(counts);
  expect(counts).toMatchObject({ sent: 2 * sizes.length, answered: 2 * sizes.length, lost: 0, repeated: 0 });
  for (const { path, body } of receiver.requests) {
    const hash = createHash("md5").update(receiver.url(path)).digest("hex");
    const size = Number(path.split("/")[2]);
    const expected = Buffer.from(hash.repeat(size / 32 + 1)).subarray(0, size);
    expect([path, body.length, body.equals(expected)]).toEqual([path, size, true]);
  }
});

/** Resident memory of a process, in bytes. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

const MIB = 1024 ** 2;
/** The default of `http.hostConcurrency`. */
const HOST_CONCURRENCY = 64;

test("P4 P5: 1,000,000 rows waiting at the start: sends within 2 s of leading, in bounded memory, holding little WAL, until truncated", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using marker = await startReceiver({ host: "127.0.0.2" });
  await insertMany(db, receiver, 1_000_000);
  await using daemon = await startDaemon({ databaseUrl: db.url, env: UNLIMITED, waitUntilReady: false });
  await receiver.waitFor(1);
  const leadsAt = Date.parse(String(daemon.events().find(({ msg }) => msg === "phase")?.["time"]));
  const firstMs = Math.round((receiver.requests[0]?.at ?? Infinity) - leadsAt);
  let memory = 0;
  let behind = 0;
  let retained = 0;
  await eventually(async () => {
    memory = Math.max(memory, await residentBytes(daemon.pid));
    const [slot] = await db.query<{ behind: number; retained: number }>(
      `select (pg_current_wal_lsn() - confirmed_flush_lsn)::float8 as behind, (pg_current_wal_lsn() - restart_lsn)::float8 as retained
      from pg_replication_slots where database = current_database() and confirmed_flush_lsn is not null`,
    );
    behind = Math.max(behind, slot?.behind ?? 0);
    retained = Math.max(retained, slot?.retained ?? 0);
    return receiver.requests.length >= 10_000;
  }, 60_000);
  const sent = receiver.requests.length;
  await db.query("truncate net.http_request_queue");
  await enqueue(db, marker.url("/"), 1);
  await marker.waitFor(1);
  const streamed = receiver.requests.length;
  await eventually(async () => {
    const health = (await (await fetch(`${daemon.address}/healthz`)).json()) as { requests: Record<string, number> };
    return health.requests["queued"] === 0 && health.requests["inFlight"] === 0;
  });
  const all = receiver.requests.length;
  const counts = { ...(await countFault(db, receiver, all)), lost: 0 };
  const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;
  reportFault(
    counts,
    `first ${firstMs} ms after it led, ${sent} sent, ${mib(memory)} resident, slot behind ${mib(behind)}, retaining ${mib(retained)}, ${streamed - sent} more until the truncate was streamed, ${all - streamed} after it`,
  );
  expect(counts.repeated).toBe(0);
  expect(firstMs).toBeLessThan(2_000);
  expect(memory).toBeLessThan(400 * MIB);
  expect(behind).toBeLessThan(64 * MIB);
  expect(retained).toBeLessThan(128 * MIB);
  // Those in flight had started.
  expect(all - streamed).toBeLessThanOrEqual(HOST_CONCURRENCY);
});

test("P8: an idle daemon runs no SQL but the check of the publications for as long as it is watched", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  await enqueue(db, receiver.url("/"), 20);
  await emptied(db);
  // Other databases of the server write to its log, so that there is something to check.
  const statements = async (): Promise<Set<string>> => {
    const rows = await db.query<{ statement: string }>(
      `select concat_ws(' ', pid, query_start, query) as statement from pg_stat_activity
      where datname = current_database() and application_name like 'pgnetd%' and query not like '%pg_publication_rel%'`,
    );
    return new Set(rows.map(({ statement }) => statement));
  };
  const known = await statements();
  const since = async (ms: number): Promise<string[]> => {
    const found: string[] = [];
    for (const end = performance.now() + ms; performance.now() < end; await delay(50)) {
      for (const one of await statements()) if (!known.has(one)) found.push(one);
      for (const one of found) known.add(one);
    }
    return found;
  };
  // What belongs to the start has to end: settings are read once more a second after it.
  await eventually(async () => (await since(1_500)).length === 0);
  // Nothing is to happen, so that there is nothing but time to wait for; a slow machine makes this no stricter.
  expect(await since(5_000)).toEqual([]);
});
