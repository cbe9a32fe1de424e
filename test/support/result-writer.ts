import pg from "pg";

import { systemClock } from "../../src/base/clock.ts";
import type { Answered, Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { openPool, type Pool } from "../../src/pg/pool.ts";
import type { Completion, ResultWriter } from "../../src/results/completion.ts";
import { openResultWriter, type ResultWriterOptions } from "../../src/results/writer.ts";
import { testDatabase, type TestDatabase } from "./postgres.ts";

const timings = { totalMs: 1, dnsMs: 0, connectMs: 0, exchangeMs: 1 };

/** When the rows of these tests were made. */
export const CREATED = "2026-11-21 09:20:32.115484+00";

/** A parsed request with that id. */
export function requestOf(id: bigint, attempts = 0): Request {
  const options = { maxAttempts: 1, retryFirstMs: 1, retryMaxMs: 1, maxRedirects: 5, keep: "all" as const };
  const common = { method: "GET", url: "http://a/", headers: [], body: null, timeoutMs: 1, created: CREATED };
  return { id, attempts, options, bytes: 1, ...common };
}

/** An answer to request `id`, whose content is the id. */
export function answer(id: bigint, part: Partial<Answered> = {}): Completion {
  const outcome: Outcome = {
    kind: "answered",
    status: 200,
    headers: [["A", "b"]],
    contentType: null,
    content: Buffer.from(`${id}`),
    timings,
    ...part,
  };
  return { kind: "answered", request: requestOf(id), outcome };
}

/** A failed try. */
export const failure: Outcome = {
  kind: "failed",
  code: "connect",
  message: "Couldn't connect to server",
  maybeReceived: false,
  timings,
};

/** What the writer reported to its listener and its log. */
interface Told {
  readonly settled: bigint[];
  readonly writable: boolean[];
  gone: number;
  readonly lines: { readonly level: string; readonly code: unknown; readonly message: string }[];
}

interface WriterSetUp extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly pool: Pool;
  readonly writer: ResultWriter & AsyncDisposable;
  /** Makes the writer give up. */
  readonly kill: AbortController;
  readonly told: Told;
}

/** A writer at work: what it does in the background ends with it, and its failure is that of the test. */
export function startWriter(options: ResultWriterOptions): ResultWriter & AsyncDisposable {
  const writer = openResultWriter(options);
  const end = new AbortController();
  const ended = writer.run(end.signal);
  ended.catch(() => undefined);
  return {
    write: (...completion) => writer.write(...completion),
    drained: (signal) => writer.drained(signal),
    async [Symbol.asyncDispose](): Promise<void> {
      end.abort();
      await writer[Symbol.asyncDispose]();
      await ended;
    },
  };
}

/** A database, a writer for it, and what the writer reported. */
export async function setUp(options: Partial<ResultWriterOptions> = {}): Promise<WriterSetUp> {
  const database = await testDatabase();
  const pool = openPool({ url: database.url, size: 3, statementTimeoutMs: 20_000 });
  const told: Told = { settled: [], writable: [], gone: 0, lines: [] };
  const line = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    told.lines.push({ level, code: fields["code"], message });
  };
  const kill = new AbortController();
  const writer = startWriter({
    db: pool,
    listener: {
      settled: (completions) => told.settled.push(...completions.map(({ request }) => request.id)),
      gone: () => {
        told.gone += 1;
      },
      writable: (why) => told.writable.push(why === null),
    },
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    clock: systemClock,
    signal: kill.signal,
    ...options,
  });
  return {
    database,
    pool,
    told,
    writer,
    kill,
    async [Symbol.asyncDispose](): Promise<void> {
      kill.abort();
      await writer[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Inserts `count` requests and returns their ids. */
export async function enqueue(db: Pick<TestDatabase, "query">, count = 1): Promise<bigint[]> {
  const rows = await db.query<{ id: string }>(
    `insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds, created)
     select 'POST', 'http://a/' || i, '{"X": "y"}', 'body', 1000, '${CREATED}' from generate_series(1, $1) as i returning id`,
    [count],
  );
  return rows.map(({ id }) => BigInt(id));
}

/** The ids left in the outbox. */
export const waiting = (db: TestDatabase): Promise<{ id: string }[]> =>
  db.query<{ id: string }>("select id from net.http_request_queue order by id");
/** The rows of `net._http_response`, by id. */
export const responses = (db: TestDatabase): Promise<Record<string, unknown>[]> =>
  db.query("select * from net._http_response order by id");

/** A session of its own, for transactions that stay open. */
export async function session(db: TestDatabase): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client({ connectionString: db.url });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** Resolves when everything handed over is written, or given up; rejects at a deadline. */
export async function drained(writer: ResultWriter): Promise<void> {
  const late = AbortSignal.timeout(15_000);
  await writer.drained(late);
  if (late.aborted) throw new Error("not everything was written within 15 s");
}
