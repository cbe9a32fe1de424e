/**
 * How fast results are written back: `node bench/write-back.ts [rows]`. A PostgreSQL of its own, everything logged,
 * fsync and synchronous_commit on. The floor beside it deletes and inserts into net._http_response only.
 */
import { systemClock } from "../src/base/clock.ts";
import { startPostgres } from "../demo/embedded-postgres.ts";
import type { Outcome } from "../src/http/outcome.ts";
import type { Request } from "../src/outbox/request.ts";
import { migrate } from "../src/pg/migrate.ts";
import { openPool, type Statement } from "../src/pg/pool.ts";
import { int8Array, textArray } from "../src/pg/arrays.ts";
import { openResultWriter } from "../src/results/writer.ts";

const rows = Number(process.argv[2] ?? 50_000);
const contentBytes = [30, 1_000];
const options = { maxAttempts: 1, retryFirstMs: 1, retryMaxMs: 1, maxRedirects: 5, keep: "all" as const };
const headers = Object.entries({
  Server: "nginx",
  "Content-Type": "application/json",
  Date: "Wed, 21 Oct 2026 07:28:00 GMT",
  "Content-Length": "30",
  Connection: "keep-alive",
  "X-Request-Id": "0f8fad5b-d9cb-469f-a165-70867728950e",
});
const timings = { totalMs: 1.5, dnsMs: 0, connectMs: 0.25, exchangeMs: 1.25 };
/** When the rows were made. */
const CREATED = "2026-11-21 09:20:32+00";
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error };

const FLOOR = `
with taken as (
  delete from net.http_request_queue using unnest($1::bigint[], $2::text[], $3::text[]) as given (id, headers, content)
  where http_request_queue.id = given.id returning given.*
)
insert into net._http_response (id, status_code, content_type, headers, content, timed_out)
select id, 200, 'application/json', headers::jsonb, content, false from taken`;

await using server = await startPostgres({ fsync: true, settings: { shared_buffers: "256MB", max_wal_size: "4GB" } });
await migrate(server.url());
await using db = openPool({ url: server.url(), size: 4, statementTimeoutMs: 60_000 });

for (const size of contentBytes) {
  await measure(`floor, ${size} bytes of content`, (ids) => floor(ids, size));
  await measure(`writer, ${size} bytes of content`, (ids) => writer(ids, size));
}

await latency();

/** From the end of a request to its committed row, one at a time. */
async function latency(): Promise<void> {
  const ids = await enqueue(1_000);
  let done = (): void => {};
  await using results = openResultWriter({
    db,
    listener: { settled: () => done(), gone: () => {}, writable: () => {} },
    log: silent,
    clock: systemClock,
    signal: new AbortController().signal,
  });
  const times: number[] = [];
  for (const id of ids) {
    const started = performance.now();
    await new Promise<void>((resolve) => {
      done = resolve;
      results.write({ kind: "answered", request: requestOf(id), outcome: outcomeOf(30) }, null);
    });
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
  console.log(`one at a time: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
}

async function enqueue(count: number): Promise<bigint[]> {
  await db.query({ text: "truncate net.http_request_queue, net._http_response, net.http_response_detail" });
  const inserted = await db.query<{ id: string }>({
    text: `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, created)
     select 'POST', 'http://127.0.0.1:8080/some/path?x=' || i, '{"Content-Type": "application/json"}', '{"n": 1}', 5000, $2
     from generate_series(1, $1) as i returning id`,
    values: [count, CREATED],
  });
  await db.query({ text: "checkpoint" });
  return inserted.rows.map(({ id }) => BigInt(id));
}

async function measure(what: string, write: (ids: readonly bigint[]) => Promise<void>): Promise<void> {
  const ids = await enqueue(rows);
  const before = await walBytes();
  const cpu = process.cpuUsage();
  const started = performance.now();
  await write(ids);
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  const report = {
    rowsPerSecond: Math.round((rows / ms) * 1_000),
    ownCpuMicrosPerRow: Number(((user + system) / rows).toFixed(1)),
    walBytesPerRow: Math.round(((await walBytes()) - before) / rows),
  };
  console.log(`${what}: ${JSON.stringify(report)}`);
}

async function walBytes(): Promise<number> {
  const result = await db.query<{ bytes: string }>({ text: "select pg_current_wal_insert_lsn() - '0/0' as bytes" });
  return Number(result.rows[0]?.bytes);
}

async function writer(ids: readonly bigint[], size: number): Promise<void> {
  await using results = openResultWriter({
    db,
    listener: { settled: () => {}, gone: () => {}, writable: () => {} },
    log: silent,
    clock: systemClock,
    signal: new AbortController().signal,
  });
  const outcome = outcomeOf(size);
  for (const id of ids) results.write({ kind: "answered", request: requestOf(id), outcome }, null);
  await results.drained(new AbortController().signal);
}

function outcomeOf(size: number): Outcome {
  const content = Buffer.alloc(size, "x");
  return { kind: "answered", status: 200, headers, contentType: "application/json", content, timings };
}

function requestOf(id: bigint): Request {
  const content = { method: "POST", url: "", headers: [], body: null };
  return { id, ...content, timeoutMs: 5_000, created: CREATED, attempts: 0, options, bytes: 0 };
}

async function floor(ids: readonly bigint[], size: number): Promise<void> {
  const headersText = JSON.stringify(Object.fromEntries(headers));
  const content = "x".repeat(size);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < ids.length) {
      const batch = ids.slice(next, (next += 500));
      const statement: Statement = {
        name: "floor",
        text: FLOOR,
        values: [int8Array(batch), textArray(batch.map(() => headersText)), textArray(batch.map(() => content))],
      };
      await db.query(statement);
    }
  };
  await Promise.all([worker(), worker()]);
}
