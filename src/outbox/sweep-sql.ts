import { OUTBOX_OID } from "../pg/installation.ts";
import { laneSql } from "./lane.ts";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES, OVERSIZE } from "./row.ts";
import { CHOSEN, COLUMNS, LEFT_LANES, NEXT_LANE } from "./sweep-lanes.ts";

/** What a sweep returns beside its rows; `left` in its first row alone, since it may be long. `shown` is what is returned of a lane. */
function head(shown: (lane: string) => string): string {
  return `pg_catalog.pg_current_snapshot()::text as snapshot,
  pg_catalog.pg_current_wal_insert_lsn()::text as insert_lsn,
  pg_catalog.pg_current_xact_id()::text as next_xid,
  ${OUTBOX_OID} as outbox,
  case when pg_catalog.row_number() over (order by r.place, r.id::bigint) = 1
    then array(select ${shown("l.lane")} from ${LEFT_LANES} as l)::text[] end as "left",
  ${NEXT_LANE} as next_lane,
  (select extract(epoch from min(q.next_attempt_at) - clock_timestamp())::float8 * 1000::float8
    from net.http_request_queue q
    where q.next_attempt_at > statement_timestamp() and q.next_attempt_at < 'infinity') as next_due_ms`;
}

/** P2: a lane may have what no client can read; then it is returned as the empty one, as for rows whose lane cannot be read. */
function readable(lane: string): string {
  return `case when ${lane} ~ '^[ -~]*$' then ${lane} else '' end`;
}

const CONTENT_BYTES = "coalesce(octet_length(c.body), 0)::bigint + coalesce(octet_length(c.url), 0)::bigint";
const SENT_BYTES = `case when ${CONTENT_BYTES} > ${LARGEST_BYTES} then 0 else ${CONTENT_BYTES} end`;

/** Bytes of jsonb as stored, times the most that its compression saves; 0 where it is too large to be read. */
function unpackedBytes(column: string): string {
  return `case
      when ${column} is null or pg_catalog.pg_column_size(${column}) > ${LARGEST_HEADERS_BYTES} then 0
      when pg_catalog.pg_column_compression(${column}) is null then pg_catalog.pg_column_size(${column})
      else pg_catalog.pg_column_size(${column}) * 256
    end::bigint`;
}

function countOf(column: string, path: string): string {
  return `pg_catalog.jsonb_array_length(pg_catalog.jsonb_path_query_array(${column}, 'strict $.** ? (${path})'))::bigint`;
}

/** Digits of a number in jsonb, before and after its point: 1e131000 is stored in 16 bytes. */
const MOST_DIGITS = { before: 131_072, after: 16_383 } as const;

/**
 * The most that the text of jsonb may take, in bytes, without making it: six for each stored one, which is a control
 * character, and all digits of numbers. Callers mostly write strings alone, which is quickly seen.
 */
function mostTextBytes(column: string): string {
  const bytes = `case when pg_catalog.pg_column_compression(${column}) is null then pg_catalog.pg_column_size(${column})
        else pg_catalog.pg_column_size(pg_catalog.jsonb_build_array(${column})) end::bigint`;
  return `case
      when ${column} is null or pg_catalog.pg_column_size(${column}) > ${LARGEST_HEADERS_BYTES} then 0
      when pg_catalog.jsonb_typeof(${column}) = 'object' and not pg_catalog.jsonb_path_exists(${column}, '$.* ? (@.type() != "string")')
        then 6 * ${bytes}
      else 6 * ${bytes} + ${countOf(column, '@.type() == "number"')} * ${MOST_DIGITS.after + 40}
        + ${countOf(column, "@ > 1e30 || @ < -1e30")} * ${MOST_DIGITS.before}
    end`;
}

/** What the text of jsonb takes, in bytes, where it is worth while to make it; else the most that it may take. */
function textBytes(column: string): string {
  return `case when e.most_${column} between 16384 and 131072 then octet_length(e.${column}::text) else e.most_${column} end`;
}

/** P5: text of jsonb that may be longer, in bytes, is not made: PostgreSQL would go on to 1 GiB, for seconds, and fail. */
const MOST_TEXT_BYTES = 64 * 1024 * 1024;

function isOversize(column: string): string {
  return `case
        when j.${column} is null then false
        when pg_catalog.pg_column_size(j.${column}) > ${LARGEST_HEADERS_BYTES} or j.most_${column} > ${MOST_TEXT_BYTES} then true
        when j.most_${column} <= ${LARGEST_HEADERS_BYTES} then false
        else octet_length(j.${column}::text) > ${LARGEST_HEADERS_BYTES}
      end`;
}

/**
 * The rows of `from` without what is too large to be sent. Every column has its type, since a prepared statement whose
 * result changes with the table fails for as long as its connection lives.
 */
function readFrom(from: string): string {
  return `judged as (
  select j.*, case
      when j.content_bytes > ${LARGEST_BYTES} then '${OVERSIZE.content}'
      when ${isOversize("headers")} then '${OVERSIZE.headers}'
      when ${isOversize("options")} then '${OVERSIZE.options}'
    end as unread
  from ${from} j
), read as (
  select j.place::bigint, j.of_lane::text, j.id::text, j.method::text, j.timeout_milliseconds::int, j.created::timestamptz, j.attempts::int, j.next_attempt_at::timestamptz,
    case when j.unread is null then j.url::text else '' end as url,
    case when j.unread is null then j.headers::jsonb end as headers,
    case when j.unread is null then j.body::bytea end as body,
    case when j.unread is null then j.options::jsonb end as options,
    j.unread::text
  from judged j
)`;
}

/** `to` are the rows of `from` of which none has more bytes than $9, and whose running sum of bytes fits into $3; the first in any case. */
function fitting(from: string, to: string): string {
  return `${from}_sums as (
  select m.*, sum(m.bytes) over by_place as running, pg_catalog.row_number() over by_place as position
  from ${from} m
  where m.bytes <= $9::bigint
  window by_place as (order by m.place, m.id rows unbounded preceding)
), ${to} as materialized (
  select * from ${from}_sums s where s.position <= $2::int and (s.running::bigint <= $3::bigint or s.position = 1)
)`;
}

const ESTIMATED = `select c.place, c.of_lane, c.id, c.method, c.url, c.headers, c.body, c.timeout_milliseconds, c.created, c.next_attempt_at, c.attempts, c.options,
    ${CONTENT_BYTES} as content_bytes, ${mostTextBytes("c.headers")} as most_headers, ${mostTextBytes("c.options")} as most_options`;

const ORDER = "order by r.place, r.id::bigint";

/**
 * One statement, so one snapshot. $3 is the most bytes. What is compressed is unpacked only where it fits by
 * what is stored of it, and then must fit as what is read of it.
 */
export const SWEEP = {
  name: "pgnetd_sweep",
  text: `
with recursive ${CHOSEN}, stored as (
  select c.*, ${SENT_BYTES} + ${unpackedBytes("c.headers")} + ${unpackedBytes("c.options")} as bytes from chosen c
), ${fitting("stored", "unpacked")}, estimated as (
  ${ESTIMATED} from unpacked c
), weighed as (
  select e.*, case when e.content_bytes > ${LARGEST_BYTES} then 0 else e.content_bytes end
    + ${textBytes("headers")} + ${textBytes("options")} as bytes
  from estimated e
), ${fitting("weighed", "fitting")}, ${readFrom("fitting")}
select ${head((lane) => lane)}, r.*
from (select) as one left join read r on true
${ORDER}`,
};

/** The same sweep without anything that a caller wrote, so that no row can make it fail. */
export const SWEEP_IDS = {
  name: "pgnetd_sweep_ids",
  text: `
with recursive ${CHOSEN}, stored as (
  select c.place, c.of_lane, c.id, c.created, c.next_attempt_at,
    ${SENT_BYTES} + ${unpackedBytes("c.headers")} + ${unpackedBytes("c.options")} as bytes
  from chosen c
), ${fitting("stored", "fitting")}, read as (
  select f.place::bigint, ${readable("f.of_lane")}::text as of_lane, f.id::text, f.created::timestamptz, f.next_attempt_at::timestamptz, f.bytes::float8
  from fitting f
)
select ${head(readable)}, r.*
from (select) as one left join read r on true
${ORDER}`,
};

/** The rows with the ids of $1, whole, in no order. */
export const READ_IDS = {
  name: "pgnetd_read_ids",
  text: `
with chosen as (
  select 0 as place, ${laneSql("q")} as of_lane, ${COLUMNS} from net.http_request_queue q where id = any ($1::bigint[])
), estimated as (
  ${ESTIMATED} from chosen c
), ${readFrom("estimated")}
select * from read`,
};
