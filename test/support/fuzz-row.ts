import fc from "fast-check";
import { byteaArray, int4Array, textArray } from "../../src/pg/arrays.ts";
import type { TestDatabase } from "./postgres.ts";

/** Stands in every header value, body, query string and password that a case makes: none of it may be logged (P11). */
export const SECRET = "S3CR3T-marker";

/** One row of the outbox; what PostgreSQL writes as text is text. */
export interface FuzzRow {
  /** Null takes the next of the batch's own ids. */
  readonly id: string | null;
  readonly method: string;
  readonly url: string;
  /** JSON. */
  readonly headers: string | null;
  readonly body: Buffer | null;
  readonly timeoutMs: number;
  /** Null is now. */
  readonly created: string | null;
  readonly nextAttemptAt: string | null;
  readonly attempts: number;
  readonly deduplicationKey: string | null;
  /** JSON. */
  readonly options: string | null;
}

/** A row that is sent at once, once; kinds of cases change what they are about. */
export const PLAIN_ROW: FuzzRow = {
  id: null,
  method: "GET",
  url: "",
  headers: null,
  body: null,
  timeoutMs: 2_000,
  created: null,
  nextAttemptAt: null,
  attempts: 0,
  deduplicationKey: null,
  options: null,
};

const INSERT = `
insert into net.http_request_queue
  (id, method, url, headers, body, timeout_milliseconds, created, next_attempt_at, attempts, deduplication_key, options)
select id::bigint, method, url, headers::jsonb, body, timeout_ms, coalesce(created::timestamptz, now()),
  next_attempt_at::timestamptz, attempts, deduplication_key, options::jsonb
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::integer[], $7::text[], $8::text[],
    $9::integer[], $10::text[], $11::text[])
  as given (id, method, url, headers, body, timeout_ms, created, next_attempt_at, attempts, deduplication_key, options)`;

/** Inserts `rows` in one statement; `ids` has the id of each. */
export async function insertRows(
  db: Pick<TestDatabase, "query">,
  rows: readonly FuzzRow[],
  ids: readonly string[],
): Promise<void> {
  await db.query(INSERT, [
    textArray(ids),
    textArray(rows.map((row) => row.method)),
    textArray(rows.map((row) => withoutNul(row.url))),
    textArray(rows.map((row) => row.headers)),
    byteaArray(rows.map((row) => row.body)),
    int4Array(rows.map((row) => row.timeoutMs)),
    textArray(rows.map((row) => row.created)),
    textArray(rows.map((row) => row.nextAttemptAt)),
    int4Array(rows.map((row) => row.attempts)),
    textArray(rows.map((row) => row.deduplicationKey)),
    textArray(rows.map((row) => row.options)),
  ]);
}

/** Text of PostgreSQL holds any character but NUL. */
function withoutNul(text: string): string {
  return text.replaceAll("\0", "");
}

/** Picks by weight: `[9, a], [1, b]` is nine times `a` for each `b`. */
export function mostly<T>(...choices: readonly (readonly [weight: number, of: fc.Arbitrary<T>])[]): fc.Arbitrary<T> {
  return fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight: Math.round(weight * 100), arbitrary })));
}
