import { z } from "zod";

import { backoffMs } from "../base/backoff.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { PgnetdError, toError } from "../base/errors.ts";
import { loadConfig } from "../config/load.ts";
import { quotable } from "../config/redact.ts";
import { leaderProblem } from "../ops/status-problem.ts";
import { readHolder } from "../leader/holder.ts";
import { schemaProblem } from "../pg/await-schema.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import type { CommandContext, ConfigFlag } from "./context.ts";
import { usage } from "./usage.ts";

const STATEMENT_TIMEOUT_MS = 10_000;
const LOOK = { firstMs: 20, maxMs: 500 };
/** A request's own timeout where none is given, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** What a request may take beyond its own timeout, in milliseconds: to be started, and to be stored. */
const SPARE_MS = 30_000;

/** Options of `pgnetd send`. */
export interface SendFlags extends ConfigFlag {
  readonly method?: string;
  readonly header?: readonly string[];
  readonly data?: string;
  readonly timeout?: number;
  readonly wait?: number;
  readonly include?: boolean;
  readonly json?: boolean;
}

/**
 * `pgnetd send`: puts one request into the outbox, waits for its result, and prints the answer. Throws REQUEST_FAILED for an
 * answer of 400 or more, or none; NOT_DONE where there is no result in time.
 */
export async function send(url: string, flags: SendFlags, { env, print, stop }: CommandContext): Promise<void> {
  const headers = headersOf(flags.header ?? []);
  const { database } = loadConfig({ env, file: flags.config });
  await using db = openPool({ url: database.url, size: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS });
  const problem = await schemaProblem(db);
  if (problem !== null) throw problem;
  const { method = flags.data === undefined ? "GET" : "POST", data = null, timeout = TIMEOUT_MS } = flags;
  const values = [method, url, data, headers === null ? null : JSON.stringify(headers), timeout];
  const sent = await enqueue(db, values).catch((error: unknown) => {
    throw sqlstateOf(error) === SQLSTATE.invalidParameterValue ? refusal(toError(error).message, url) : error;
  });
  const { id } = sent;
  const result = await resultOf(db, sent, { waitMs: waitMsOf(flags), stop, clock: systemClock });
  if (result === null) throw await unfinished(db, sent);
  if (flags.json === true) print(JSON.stringify({ id, ...result }, null, 2));
  else for (const line of asText(result, flags.include === true)) print(line);
  const failure = failureOf(id, result);
  if (failure !== null) throw failure;
}

/** How long the result is waited for, in milliseconds. */
export function waitMsOf({ wait, timeout = TIMEOUT_MS }: SendFlags): number {
  return wait === undefined ? timeout + SPARE_MS : wait * 1_000;
}

/** Which row of the outbox: ids alone may be given again. */
const rowSchema = z.object({ id: z.string(), created: z.string() });

type Row = z.infer<typeof rowSchema>;

const ENQUEUE = `
select net.http_request(method := $1, url := $2, body := $3::text, headers := $4::jsonb, timeout_milliseconds := $5::int4)::text as id,
  pg_catalog.now()::text as created`;

async function enqueue(db: Queryable, values: unknown[]): Promise<Row> {
  return rowSchema.parse((await db.query({ text: ENQUEUE, values })).rows[0]);
}

/** The server says what is wrong with the request, with the url as it was typed: its query stays out (P11). */
function refusal(message: string, url: string): PgnetdError {
  return usage(
    message.replace(`"${url}"`, () => `"${quotable(url)}"`),
    "send",
  );
}

const SELECT = `
select r.status_code as status, r.headers::json, r.content, r.error_msg as error, d.error_code as code, d.attempts, d.total_ms as "totalMs",
  pg_catalog.octet_length(d.content_bytes) as bytes
from net.http_response_detail d join net._http_response r on r.id = d.id and r.created = d.created
where d.id = $1::int8 and d.enqueued = $2::timestamptz`;

const resultSchema = z.object({
  status: z.int().nullable(),
  headers: z.record(z.string(), z.unknown()).nullable(),
  content: z.string().nullable(),
  error: z.string().nullable(),
  code: z.string().nullable(),
  attempts: z.int(),
  totalMs: z.number().nullable(),
  /** Length of content that is no text. */
  bytes: z.int().nullable(),
});

type SendResult = z.infer<typeof resultSchema>;

interface Waiting {
  readonly waitMs: number;
  readonly stop: AbortSignal;
  readonly clock: Clock;
}

/** The stored result; null where there is none in time, or `stop` fired. */
async function resultOf(
  db: Queryable,
  { id, created }: Row,
  { waitMs, stop, clock }: Waiting,
): Promise<SendResult | null> {
  const until = clock.now() + waitMs;
  for (let attempt = 0; ; attempt++) {
    const [row] = (await db.query({ text: SELECT, values: [id, created] })).rows;
    if (row !== undefined) return resultSchema.parse(row);
    if (stop.aborted || clock.now() >= until) return null;
    await clock.sleep(Math.min(backoffMs(attempt, LOOK), until - clock.now()), stop);
  }
}

async function unfinished(db: Queryable, { id, created }: Row): Promise<PgnetdError> {
  const problem = leaderProblem(await readHolder(db));
  const why = problem === null ? "" : `: ${problem.message}`;
  const cancel = `To cancel it: delete from net.http_request_queue where id = ${id} and created = '${created}';`;
  return new PgnetdError("NOT_DONE", `request ${id} has no result yet${why}`, {
    hint: `Unless it was deleted it waits in the outbox, and its result will be in net._http_response. ${problem === null ? "" : `${problem.hint} `}${cancel}`,
  });
}

function asText({ status, headers, content, bytes }: SendResult, include: boolean): readonly string[] {
  const head =
    include && status !== null
      ? [`HTTP ${status}`, ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${String(value)}`), ""]
      : [];
  if (bytes !== null) return [...head, `(${bytes} bytes that are no text: content_bytes of net.http_response_detail)`];
  return content === null || content === "" ? head : [...head, content.replace(/\n$/, "")];
}

function failureOf(id: string, { status, error, code }: SendResult): PgnetdError | null {
  if (status !== null && status < 400) return null;
  const what = status === null ? `no answer (${code ?? "error"}): ${error ?? "unknown"}` : `status ${status}`;
  return new PgnetdError("REQUEST_FAILED", `request ${id} ended with ${what}`, {
    hint: `See select * from net.http_response_detail where id = ${id};`,
  });
}

function headersOf(given: readonly string[]): Readonly<Record<string, string>> | null {
  if (given.length === 0) return null;
  const pairs = given.map((header) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/s.exec(header) ?? [];
    if (name === undefined || value === undefined) throw usage("--header must be like 'Name: value'", "send");
    return [name, value] as const;
  });
  return Object.fromEntries(pairs);
}
