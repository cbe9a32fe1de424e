import type { Statement } from "../pg/pool.ts";
import { TRIGGERS_AS_FOR_USERS } from "../pg/search-path.ts";
import { booleanArray, byteaArray, float8Array, int4Array, int8Array, textArray } from "../pg/arrays.ts";
import type { Completion } from "./completion.ts";
import { type ResponseRow, rowOf, unstorableRow } from "./row.ts";
import { shownUrl } from "./shown-url.ts";

/** What a statement says of its batch. */
export interface Verdict {
  /** `pg_current_snapshot()` of the statement. */
  readonly snapshot: string;
  /** Ids whose rows were not taken, as text. */
  readonly missing: string[];
  /** Those of `missing` whose rows are there: locked by somebody else, or `kept`. */
  readonly locked: string[];
  /** Those of `missing` whose rows nobody else had locked: a trigger or a rule kept them, or somebody changed them in that moment. */
  readonly kept: string[];
}

/** A completion on its way into the database. */
export interface Item {
  readonly completion: Completion;
  /** Set where the database refused the answer itself: what is stored in its place. */
  refusal: string | null;
}

/** The statement that makes a batch durable; all of one `kind`. Without any it tells whether such a statement is possible at all. */
export function statementOf(items: readonly Item[], kind: Completion["kind"]): Statement {
  switch (kind) {
    case "answered":
      return answeredStatement(items);
    case "dead":
      return deadStatement(items);
    case "deferred":
      return deferredStatement(items);
  }
}

/** Writes nothing but a commit, and so waits for all that commits wait for, such as a synchronous standby. */
export const COMMIT: Statement = {
  text: "select pg_catalog.pg_logical_emit_message(true, 'pgnetd-commit'::text, ''::text)",
};

// Rows locked by others are skipped, not waited for: a caller's open transaction that cancels or looks holds up nothing
// but its own rows, and can be in no deadlock with this one.
// An id alone does not say which row: a standby that was behind gives ids of lost commits again.
const ROWS = `given join net.http_request_queue as waiting
    on waiting.id = given.id and waiting.created = given.made::timestamptz`;

const FREE = `free as (
  select given.*, waiting.ctid as at, waiting.tableoid as within from ${ROWS} for update of waiting skip locked
)`;

// P2: a table that inherits from the outbox has other rows at the same places.
const IS_FREE = "waiting.ctid = free.at and waiting.tableoid = free.within";

const VERDICT = `
select pg_catalog.pg_current_snapshot()::text as snapshot, missing.ids as missing,
  array(select waiting.id::text from ${ROWS} where waiting.id = any (missing.ids::bigint[])) as locked,
  array(select free.id::text from free where free.id = any (missing.ids::bigint[])) as kept
from (select array(select given.id::text from given except select taken.id::text from taken) as ids) as missing
where ${TRIGGERS_AS_FOR_USERS}`;

// The unnest of several arrays is syntax, and always that of pg_catalog.

// P10: the response and the removal of the outbox row are one statement. What is not deleted gets no response.
const ANSWERED = `
with given as materialized (
  select * from unnest(
    $1::bigint[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::boolean[], $7::text[], $8::integer[], $9::text[],
    $10::float8[], $11::float8[], $12::float8[], $13::float8[], $14::text[], $15::text[], $16::bytea[]
  ) as given (
    id, made, status_code, content_type, headers, timed_out, error_msg, attempts, error_code,
    total_ms, dns_ms, connect_ms, exchange_ms, response_headers, content, content_bytes
  )
), ${FREE}, taken as (
  delete from net.http_request_queue as waiting using free where ${IS_FREE}
  returning free.*, waiting.method, waiting.url, waiting.created
), response as (
  insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
  select id, status_code, content_type, headers::jsonb, content, timed_out, error_msg from taken
), detail as (
  insert into net.http_response_detail (
    id, method, url, attempts, error_code, total_ms, dns_ms, connect_ms, exchange_ms, response_headers, content_bytes, enqueued
  )
  select id, method, ${shownUrl("url")}, attempts, error_code, total_ms, dns_ms, connect_ms, exchange_ms,
    response_headers::jsonb, content_bytes, created
  from taken
)${VERDICT}`;

function answeredStatement(items: readonly Item[]): Statement {
  const rows = items.map(responseRow);
  const column = <K extends keyof ResponseRow>(name: K): ResponseRow[K][] => rows.map((row) => row[name]);
  return {
    name: "pgnetd_answered",
    text: ANSWERED,
    values: [
      ...rowsOf(items),
      int4Array(column("statusCode")),
      textArray(column("contentType")),
      textArray(column("headers")),
      booleanArray(column("timedOut")),
      textArray(column("errorMsg")),
      int4Array(column("attempts")),
      textArray(column("errorCode")),
      float8Array(column("totalMs")),
      float8Array(column("dnsMs")),
      float8Array(column("connectMs")),
      float8Array(column("exchangeMs")),
      textArray(column("responseHeaders")),
      // The large ones last: the driver would copy them again for each that follows.
      textArray(column("content")),
      byteaArray(column("contentBytes")),
    ],
  };
}

const DEAD = `
with given as materialized (
  select * from unnest($1::bigint[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::integer[])
    as given (id, made, attempts, error_code, error_msg, status_code)
), ${FREE}, taken as (
  delete from net.http_request_queue as waiting using free where ${IS_FREE}
  returning free.*, waiting.method, waiting.url, waiting.headers, waiting.body, waiting.timeout_milliseconds,
    waiting.created, waiting.next_attempt_at, waiting.deduplication_key, waiting.options, waiting.lane
), letter as (
  insert into net.http_dead_letter (
    id, method, url, headers, body, timeout_milliseconds, created, next_attempt_at, attempts, deduplication_key, options, lane,
    error_code, error_msg, status_code
  )
  select id, method, url, headers, body, timeout_milliseconds, created, next_attempt_at, attempts, deduplication_key, options, lane,
    error_code, error_msg, status_code
  from taken
)${VERDICT}`;

function deadStatement(items: readonly Item[]): Statement {
  const rows = items.map(responseRow);
  return {
    name: "pgnetd_dead",
    text: DEAD,
    values: [
      ...rowsOf(items),
      int4Array(rows.map((row) => row.attempts)),
      textArray(rows.map((row) => row.errorCode)),
      textArray(rows.map((row) => row.errorMsg)),
      int4Array(rows.map((row) => row.statusCode)),
    ],
  };
}

// The number of tries is set, not added to: a batch whose commit was not heard of is written twice. P3: and never set back: a former leader
// may write the result of a try after its successor wrote that of the same one, or of a later one.
const DEFERRED = `
with given as materialized (
  select * from unnest($1::bigint[], $2::text[], $3::float8[], $4::integer[])
    as given (id, made, delay_ms, attempts)
), ${FREE}, taken as (
  update net.http_request_queue as waiting
  set next_attempt_at = case
      when free.attempts <= waiting.attempts then waiting.next_attempt_at
      else greatest(
        pg_catalog.clock_timestamp() + free.delay_ms * interval '1 millisecond',
        case when free.attempts is null then waiting.next_attempt_at end)
    end,
    attempts = greatest(free.attempts, waiting.attempts)
  from free where ${IS_FREE}
  returning waiting.id
)${VERDICT}`;

function deferredStatement(items: readonly Item[]): Statement {
  return {
    name: "pgnetd_deferred",
    text: DEFERRED,
    values: [
      ...rowsOf(items),
      float8Array(items.map(({ completion }) => (completion.kind === "deferred" ? completion.delayMs : 0))),
      int4Array(items.map(({ completion }) => (completion.outcome === null ? null : completion.request.attempts + 1))),
    ],
  };
}

const LOCKED = `
with given as materialized (
  select * from unnest($1::bigint[], $2::text[]) as given (id, made)
), free as (
  select waiting.id from ${ROWS} for update of waiting skip locked
)
select waiting.id::text as id from ${ROWS} where not exists (select from free where free.id = waiting.id)`;

/** The ids, as text, of those whose row is there and locked by somebody else. */
export function lockedStatement(items: readonly Item[]): Statement {
  return { name: "pgnetd_locked", text: LOCKED, values: rowsOf(items) };
}

/** Which rows a statement is about: the first two parameters of each. */
function rowsOf(items: readonly Item[]): unknown[] {
  return [
    int8Array(items.map(({ completion }) => completion.request.id)),
    textArray(items.map(({ completion }) => completion.request.created)),
  ];
}

function responseRow({ completion, refusal }: Item): ResponseRow {
  const { request, outcome } = completion;
  if (outcome === null) throw new TypeError(`request ${request.id} ended without an outcome`);
  return refusal === null ? rowOf(request, outcome) : unstorableRow(request, outcome, refusal);
}
