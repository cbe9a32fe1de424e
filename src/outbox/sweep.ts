import { z } from "zod";

import { OUTBOX_OID } from "../pg/installation.ts";
import type { Queryable } from "../pg/pool.ts";
import { type Lsn, parseLsn } from "../wal/lsn.ts";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES, type OutboxRow, OVERSIZE, readRow, type RowDefaults } from "./row.ts";
import { parseSnapshot, type Snapshot } from "./snapshot.ts";

/** What one sweep may read. */
export interface SweepPlan {
  /** Rows never parked are read from the next higher id on. */
  readonly above: bigint;
  /** Rows at most. */
  readonly rows: number;
  /** Bytes of bodies, urls and headers at most; one row of each kind is read whatever its size. */
  readonly bytes: number;
  /** Ids in memory: they are left out (rule leaveOutKnown). */
  readonly known: readonly bigint[];
}

/** What one sweep found. */
export interface SweepResult {
  readonly rows: readonly OutboxRow[];
  readonly snapshot: Snapshot;
  readonly insertLsn: Lsn;
  /** Null for a sweep that cannot be the last, since it did not start at the lowest id. */
  readonly nextXid: bigint | null;
  /** Highest id read of the rows that were never parked; null without any. */
  readonly highestId: bigint | null;
  /** Nothing was left behind for want of room. */
  readonly all: boolean;
  /** Milliseconds until the earliest parked row is due, by the database's clock; null without any. */
  readonly nextDueMs: number | null;
}

/** The lowest id that a row can have. */
const LOWEST_ID = -(2n ** 63n);
const HIGHEST_ID = 2n ** 63n - 1n;

/** Bytes of jsonb as stored, times the most that its compression saves: what it takes when it is read. */
function jsonbBytes(column: string): string {
  return `coalesce(pg_catalog.pg_column_size(${column}), 0)::bigint
      * case when pg_catalog.pg_column_compression(${column}) is null then 1 else 256 end`;
}

/**
 * One statement, so one snapshot. `due` are parked rows whose time has come, at most half of the room; `fresh` the
 * rows never parked, lowest ids first. A body is read only where the running sum of sizes fits into half of the bytes, so
 * that neither kind keeps the other out; and never where it is too large to be sent. Every column has its type, since a prepared statement whose result changes with
 * the table fails for as long as its connection lives.
 */
const SWEEP = {
  name: "pgnetd_sweep",
  text: `
with due as materialized (
  select q.* from net.http_request_queue q
  where q.next_attempt_at <= statement_timestamp() and q.id <> all ($2::bigint[])
  order by q.next_attempt_at
  limit ($3::int + 1) / 2
), fresh as materialized (
  select q.* from net.http_request_queue q
  where q.next_attempt_at is null and q.id >= $1::bigint and q.id <> all ($2::bigint[])
  order by q.id
  limit $3::int - (select count(*) from due)
), measured as (
  select u.*, coalesce(octet_length(u.body), 0)::bigint + octet_length(u.url)::bigint as content_bytes,
    ${jsonbBytes("u.headers")} + ${jsonbBytes("u.options")} as jsonb_bytes,
    case
      when coalesce(octet_length(u.body), 0)::bigint + octet_length(u.url)::bigint > ${LARGEST_BYTES} then '${OVERSIZE.content}'
      when pg_catalog.pg_column_size(u.headers) > ${LARGEST_HEADERS_BYTES} then '${OVERSIZE.headers}'
      when pg_catalog.pg_column_size(u.options) > ${LARGEST_HEADERS_BYTES} then '${OVERSIZE.options}'
    end as oversize
  from (select * from due union all select * from fresh) u
), sized as (
  select u.*,
    sum(case when u.oversize is null then u.content_bytes + u.jsonb_bytes else 0::bigint end) over kind as running,
    row_number() over kind as among_kind,
    row_number() over (order by u.next_attempt_at nulls last, u.id) as position
  from measured u
  window kind as (partition by u.next_attempt_at is null order by u.next_attempt_at, u.id rows unbounded preceding)
), fitting as (
  select s.id::text, s.method::text, s.timeout_milliseconds::int, s.created::timestamptz, s.attempts::int, s.next_attempt_at::timestamptz,
    case when s.oversize is null then s.url::text else '' end as url,
    case when s.oversize is null then s.headers::jsonb end as headers,
    case when s.oversize is null then s.body::bytea end as body,
    case when s.oversize is null then s.options::jsonb end as options,
    s.oversize::text, s.position
  from sized s
  where s.running::bigint <= $4::bigint / 2::bigint or s.among_kind = 1
)
select pg_catalog.pg_current_snapshot()::text as snapshot,
  pg_catalog.pg_current_wal_insert_lsn()::text as insert_lsn,
  case when $1::bigint = ${LOWEST_ID} then pg_catalog.pg_current_xact_id()::text end as next_xid,
  ${OUTBOX_OID} as outbox,
  (select count(*) from due)::int as due_count,
  (select count(*) from fresh)::int as fresh_count,
  (select extract(epoch from min(q.next_attempt_at) - clock_timestamp())::float8 * 1000::float8
    from net.http_request_queue q
    where q.next_attempt_at > statement_timestamp() and q.next_attempt_at < 'infinity') as next_due_ms,
  f.*
from (select) as one left join fitting f on true
order by f.position`,
};

const headSchema = z.object({
  snapshot: z.string(),
  insert_lsn: z.string(),
  next_xid: z.string().nullable(),
  outbox: z.coerce.number<string>(),
  due_count: z.int(),
  fresh_count: z.int(),
  next_due_ms: z.number().nullable(),
});

/** What sweeps read with. */
export interface SweepOptions extends RowDefaults {
  /** Told which table the rows are of; throws where it is not the outbox that it should be. */
  readonly assertSame: (outbox: number) => void;
}

/** Reads waiting rows from the outbox. Rejects with the driver's error when the database cannot be asked. */
export async function sweep(db: Queryable, plan: SweepPlan, options: SweepOptions): Promise<SweepResult> {
  const { above, rows: limit, bytes, known } = plan;
  const { rows } = await db.query<Record<string, unknown>>({
    ...SWEEP,
    values: [fromId(above).toString(), known.map(String), limit, bytes],
  });
  const head = headSchema.parse(rows[0]);
  options.assertSame(head.outbox);
  const read = rows.filter((row) => row["id"] !== null).map((row) => readRow(row, options));
  const dueLimit = Math.floor((limit + 1) / 2);
  const freshIds = read.filter((row) => row.nextAttemptAt === null).map((row) => row.request.id);
  return {
    rows: read,
    snapshot: parseSnapshot(head.snapshot),
    insertLsn: parseLsn(head.insert_lsn),
    nextXid: head.next_xid === null ? null : BigInt(head.next_xid),
    highestId: freshIds.reduce<bigint | null>((highest, id) => (highest === null || id > highest ? id : highest), null),
    all:
      head.due_count < dueLimit &&
      head.fresh_count < limit - head.due_count &&
      read.length === head.due_count + head.fresh_count,
    nextDueMs: head.next_due_ms,
  };
}

/** The lowest id to read: for 0, where every sweep starts, the lowest there can be. */
function fromId(above: bigint): bigint {
  if (above === 0n) return LOWEST_ID;
  return above === HIGHEST_ID ? above : above + 1n;
}

const SNAPSHOT = { name: "pgnetd_snapshot", text: "select pg_catalog.pg_current_snapshot()::text as snapshot" };

/** The snapshot of this moment (rule watch). */
export async function currentSnapshot(db: Queryable): Promise<Snapshot> {
  const { rows } = await db.query<{ snapshot: string }>(SNAPSHOT);
  return parseSnapshot(z.string().parse(rows[0]?.snapshot));
}
