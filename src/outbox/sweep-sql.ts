import { OUTBOX_OID } from "../pg/installation.ts";
import { laneSql } from "./lane.ts";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES, LARGEST_URL_BYTES, OVERSIZE } from "./row.ts";
import { CHOSEN, COLUMNS, LEFT_LANES, NEXT_LANE } from "./sweep-lanes.ts";

/** What a sweep returns beside its rows; `left` in its first row alone, since it may be long. `shown` is what is returned of a lane. */
function head(shown: (lane: string) => string): string {
  return `pg_catalog.pg_current_snapshot()::text as snapshot,
  pg_catalog.pg_current_wal_insert_lsn()::text as insert_lsn,
  pg_catalog.pg_current_xact_id()::text as next_xid,
  ${OUTBOX_OID} as outbox,
  case when coalesce(r.position, 1) = 1 then array(select ${shown("l.lane")} from ${LEFT_LANES} as l)::text[] end as "left",
  ${NEXT_LANE} as next_lane,
  (select extract(epoch from min(q.next_attempt_at) - clock_timestamp())::float8 * 1000::float8
    from net.http_request_queue q
    where q.next_attempt_at > statement_timestamp() and q.next_attempt_at < 'infinity') as next_due_ms`;
}

/** P2: a lane may have what no client can read; then it is returned as the empty one, as for rows whose lane cannot be read. */
function readable(lane: string): string {
  return `case when ${lane} ~ '^[ -~]*$' then ${lane} else '' end`;
}

const URL_BYTES = "coalesce(octet_length(c.url), 0)::bigint";
const CONTENT_BYTES = `coalesce(octet_length(c.body), 0)::bigint + ${URL_BYTES}`;
const SENT_BYTES = `case when ${URL_BYTES} > ${LARGEST_URL_BYTES} or ${CONTENT_BYTES} > ${LARGEST_BYTES} then 0 else ${CONTENT_BYTES} end`;

/** Bytes of jsonb, `compressed` where it is compressed; 0 where it is too large to be read. */
function jsonbBytes(column: string, compressed: string): string {
  return `case
      when ${column} is null or pg_catalog.pg_column_size(${column}) > ${LARGEST_HEADERS_BYTES} then 0
      when pg_catalog.pg_column_compression(${column}) is null then pg_catalog.pg_column_size(${column})
      else ${compressed}
    end::bigint`;
}

/** The most that it may take once it is unpacked: as stored, times the most that its compression saves. */
function mostBytes(column: string): string {
  return jsonbBytes(column, `pg_catalog.pg_column_size(${column}) * 256`);
}

/** What it takes once it is unpacked. */
function unpackedBytes(column: string): string {
  return jsonbBytes(column, `pg_catalog.pg_column_size(pg_catalog.jsonb_build_array(${column}))`);
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
  return `case when c.most_${column} between 16384 and greatest(131072, 6 * c.size_${column}) then octet_length(c.${column}::text) else c.most_${column} end`;
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
      when octet_length(j.url) > ${LARGEST_URL_BYTES} then '${OVERSIZE.url}'
      when j.content_bytes > ${LARGEST_BYTES} then '${OVERSIZE.content}'
      when ${isOversize("headers")} then '${OVERSIZE.headers}'
      when ${isOversize("options")} then '${OVERSIZE.options}'
    end as unread
  from (${from}) j
), read as (
  select j.position::bigint, j.of_lane::text, j.id::text, j.method::text, j.timeout_milliseconds::int, j.created::timestamptz, j.attempts::int, j.next_attempt_at::timestamptz, j.installation_mark::int,
    case when j.unread is null then j.url::text else '' end as url,
    case when j.unread is null then j.headers::jsonb end as headers,
    case when j.unread is null then j.body::bytea end as body,
    case when j.unread is null then j.options::jsonb end as options,
    j.unread::text
  from judged j
)`;
}

/** At the end of each subquery: what is sorted once stays so, and what it computes is computed once. */
const IN_ORDER = "order by c.place, c.turn, c.id offset 0";

/** What is compressed may take so many times what is stored of it; mostly it takes far less, and to unpack it costs little. */
const UNPACKED_AT_ONCE = 16;

/**
 * The rows of `from` of which none has more than $9 of `bytes`, and whose running sum of them is at most `most`; the first in any case.
 */
function fitting(from: string, bytes: string, most: string): string {
  return `select * from (
    select m.*, sum(m.${bytes}) over by_place as running_${bytes}, pg_catalog.row_number() over by_place as first_by_${bytes}
    from (${from}) m
    where m.${bytes} <= $9::bigint
    window by_place as (order by m.place, m.turn, m.id rows unbounded preceding)
  ) c where c.first_by_${bytes} <= $2::int and (c.running_${bytes}::bigint <= ${most} or c.first_by_${bytes} = 1) ${IN_ORDER}`;
}

const STORED = `${SENT_BYTES} + ${mostBytes("c.headers")} + ${mostBytes("c.options")} as stored`;
const SIZED = `${CONTENT_BYTES} as content_bytes, ${SENT_BYTES} as sent_bytes, ${unpackedBytes("c.headers")} as size_headers, ${unpackedBytes("c.options")} as size_options`;
const ESTIMATED = `${mostTextBytes("headers")} as most_headers, ${mostTextBytes("options")} as most_options`;
const WEIGHED = `c.sent_bytes + ${textBytes("headers")} + ${textBytes("options")} as bytes`;

/**
 * The rows that fit into $3 bytes. Each stage costs more than the one before, and is for the rows that fit by what that one knows
 * of them: what is stored, what it is unpacked, and what is read of it.
 */
function fittingOf(chosen: string): string {
  const unpacked = fitting(
    `select c.*, ${STORED} from ${chosen} c ${IN_ORDER}`,
    "stored",
    `$3::bigint * ${UNPACKED_AT_ONCE}`,
  );
  const sized = `select c.*, c.sent_bytes + c.size_headers + c.size_options as size from (select c.*, ${SIZED} from (${unpacked}) c ${IN_ORDER}) c ${IN_ORDER}`;
  const estimated = `select c.*, ${ESTIMATED} from (${fitting(sized, "size", "$3::bigint")}) c ${IN_ORDER}`;
  return fitting(`select c.*, ${WEIGHED} from (${estimated}) c ${IN_ORDER}`, "bytes", "$3::bigint");
}

/** One statement, so one snapshot. */
export const SWEEP = {
  name: "pgnetd_sweep",
  text: `
with recursive ${CHOSEN}, fitting as materialized (
  ${fittingOf("chosen")}
), ${readFrom("select f.*, f.first_by_bytes as position from fitting f")}
select ${head((lane) => lane)}, r.*
from (select) as one left join read r on true
order by r.position`,
};

/** The same sweep without anything that a caller wrote, so that no row can make it fail. */
export const SWEEP_IDS = {
  name: "pgnetd_sweep_ids",
  text: `
with recursive ${CHOSEN}, fitting as materialized (
  ${fitting(`select c.place, c.turn, c.of_lane, c.id, c.created, c.next_attempt_at, ${STORED} from chosen c ${IN_ORDER}`, "stored", "$3::bigint")}
), read as (
  select f.first_by_stored as position, ${readable("f.of_lane")}::text as of_lane, f.id::text, f.created::timestamptz, f.next_attempt_at::timestamptz, f.stored::float8 as bytes
  from fitting f
)
select ${head(readable)}, r.*
from (select) as one left join read r on true
order by r.position`,
};

/** The rows with the ids of $1 that were made at the times of $2, whole, in no order. */
export const READ_IDS = {
  name: "pgnetd_read_ids",
  text: `
with chosen as (
  select 0 as position, ${laneSql("q")} as of_lane, ${COLUMNS} from net.http_request_queue q
  where q.id = any ($1::bigint[]) and (q.id, q.created) in (select * from unnest($1::bigint[], $2::timestamptz[]))
), ${readFrom(`select c.*, ${ESTIMATED} from (select c.*, ${SIZED} from chosen c offset 0) c offset 0`)}
select * from read`,
};
