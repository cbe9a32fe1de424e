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

/** Digits that a number in jsonb may have before its point, with few bytes stored: 1e131000 is stored in 16. */
const MOST_DIGITS = 131_072;

/** The most that the text of the numbers in jsonb may take, in bytes. */
function numberBytes(column: string): string {
  return `(
      select coalesce(sum(40 + pg_catalog.scale(n::numeric) + case when n::numeric between -1e30 and 1e30 then 0 else ${MOST_DIGITS} end), 0)::bigint
      from pg_catalog.jsonb_path_query(${column}, 'strict $.** ? (@.type() == "number")') as number (n)
    )`;
}

/** Bytes of jsonb once it is unpacked; 0 where it is too large to be read. */
function unpackedSize(column: string): string {
  return `case
      when ${column} is null or pg_catalog.pg_column_size(${column}) > ${LARGEST_HEADERS_BYTES} then 0
      when pg_catalog.pg_column_compression(${column}) is null then pg_catalog.pg_column_size(${column})
      else pg_catalog.pg_column_size(pg_catalog.jsonb_build_array(${column}))
    end::bigint`;
}

/**
 * The most that the text of jsonb may take, in bytes, without making it: six for each byte of it unpacked, which is a control
 * character, and the digits of numbers. Callers mostly write strings alone, which is quickly seen.
 */
function mostTextBytes(column: string): string {
  return `case
      when c.size_${column} = 0 then 0
      when pg_catalog.jsonb_typeof(c.${column}) = 'object' and not pg_catalog.jsonb_path_exists(c.${column}, '$.* ? (@.type() != "string")')
        then 6 * c.size_${column}
      else 6 * c.size_${column} + ${numberBytes(`c.${column}`)}
    end`;
}

/** What the text of jsonb takes, in bytes, where it is worth while to make it; else the most that it may take. */
function textBytes(column: string): string {
  return `case when e.most_${column} between 16384 and greatest(131072, 6 * e.size_${column}) then octet_length(e.${column}::text) else e.most_${column} end`;
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

/** Rows by `most`, a bound of their bytes that is in `from` beside those of the stages before. */
const FITTING = "$3::bigint";
/** What is compressed may take so many times what is stored; mostly it takes far less, and unpacking costs little. */
const UNPACKED = `${FITTING} * 16`;

/** `to` are the rows of `from` of which none has more than $9 of `bytes`, and whose running sum of them is at most `most`; the first in any case. */
function fitting(from: string, to: string, bytes: string, most = FITTING): string {
  return `${to} as materialized (
  select * from (
    select m.*, sum(m.${bytes}) over by_place as running_${bytes}, pg_catalog.row_number() over by_place as first_by_${bytes}
    from ${from} m
    where m.${bytes} <= $9::bigint
    window by_place as (order by m.place, m.id rows unbounded preceding)
  ) s where s.first_by_${bytes} <= $2::int and (s.running_${bytes}::bigint <= ${most} or s.first_by_${bytes} = 1)
)`;
}

const SIZED = `select c.*, ${CONTENT_BYTES} as content_bytes, ${SENT_BYTES} as sent_bytes, ${unpackedSize("c.headers")} as size_headers, ${unpackedSize("c.options")} as size_options`;

const ESTIMATED = `select c.*, ${mostTextBytes("headers")} as most_headers, ${mostTextBytes("options")} as most_options`;

const ORDER = "order by r.place, r.id::bigint";

/**
 * One statement, so one snapshot. $3 is the most bytes. Each stage costs more than the one before, and is for the rows that fit
 * by what that one knows of them: what is stored, what it is unpacked, and what is read of it.
 */
export const SWEEP = {
  name: "pgnetd_sweep",
  text: `
with recursive ${CHOSEN}, stored as (
  select c.*, ${SENT_BYTES} + ${unpackedBytes("c.headers")} + ${unpackedBytes("c.options")} as stored from chosen c
), ${fitting("stored", "unpacked", "stored", UNPACKED)}, sized as materialized (
  ${SIZED} from unpacked c
), summed as (
  select c.*, c.sent_bytes + c.size_headers + c.size_options as size from sized c
), ${fitting("summed", "affordable", "size")}, estimated as materialized (
  ${ESTIMATED} from affordable c
), weighed as materialized (
  select e.*, e.sent_bytes + ${textBytes("headers")} + ${textBytes("options")} as bytes
  from estimated e
), ${fitting("weighed", "fitting", "bytes")}, ${readFrom("fitting")}
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
), ${fitting("stored", "fitting", "bytes")}, read as (
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
), sized as (
  ${SIZED} from chosen c
), estimated as materialized (
  ${ESTIMATED} from sized c
), ${readFrom("estimated")}
select * from read`,
};
