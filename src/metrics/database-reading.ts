import { z } from "zod";

import { laneSql } from "../outbox/lane.ts";
import { currentDatabase } from "../pg/current-database.ts";
import type { Queryable, Statement } from "../pg/pool.ts";
import { type Lsn, parseLsn } from "../pg/lsn.ts";
import { SLOT_COLUMNS, SLOT_FIELDS, type SlotReading, slotReading } from "../slot/reading.ts";
import { defaultSlotName } from "../slot/slot.ts";

/** What one scrape reads of the server, from its catalogs alone. Bytes and seconds; null where there is no such thing. */
export interface ServerReading {
  readonly current: Lsn;
  readonly slot: WatchedSlot;
}

/** What one scrape reads from the database. */
export interface DatabaseReading extends ServerReading {
  readonly outboxRows: number;
  readonly deferredRows: number;
  readonly deadLetters: number;
  /** Age of the oldest due request that was found. */
  readonly oldestDueSeconds: number;
  readonly hostsPaused: number;
}

/** What it reads of the slot. */
export interface WatchedSlot extends SlotReading {
  readonly isActive: boolean;
  /** Seconds since 1970. */
  readonly inactiveSince: number | null;
  readonly invalidationReason: string | null;
  readonly isSynced: boolean | null;
}

/** A scrape waits no longer for a reading, in milliseconds, and the server ends it: dead rows under a long transaction make it slow. */
export const LONGEST_READING_MS = 2_000;

/** Rows are counted up to this many, and the lowest ids looked at. */
const MOST_ROWS = 1_000;
/** The first rows of so many lanes are looked at. */
const MOST_LANES = 100;
/** Ids from the sequence begin at 1; a direct insert may have any. */
const MOST_MADE_UP = 100;

/** Up to `MOST_ROWS` of each. */
const COUNTED = `counted as materialized (
  select
    (select pg_catalog.count(*) from (select from net.http_request_queue limit ${MOST_ROWS}) one)::float8 as outbox,
    (select pg_catalog.count(*) from (
      select from net.http_request_queue where next_attempt_at > pg_catalog.statement_timestamp()
      order by next_attempt_at limit ${MOST_ROWS}) one)::float8 as deferred,
    (select pg_catalog.count(*) from (select from net.http_dead_letter limit ${MOST_ROWS}) one)::float8 as dead
)`;

/** Exact while there are few; beyond that what the statistics say, since counting would take longer the more there are. */
function estimated(counted: string, estimate: string): string {
  return `case when ${counted} < ${MOST_ROWS}::float8 then ${counted} else greatest(${counted}, (${estimate})) end`;
}

function liveRows(table: string): string {
  return `select pg_catalog.pg_stat_get_live_tuples('${table}'::regclass)::float8`;
}

const DEFERRED_ROWS = `select x.reltuples::float8 from pg_catalog.pg_class x
    where x.oid = pg_catalog.to_regclass('net.http_request_queue_parked')::oid`;

/** The first row of each of the first lanes; by the index, from one lane to the next. */
const HEADS = `heads (lane, created, n) as (
  (select ${laneSql("q")}, q.created, 1
   from net.http_request_queue q where q.next_attempt_at is null order by ${laneSql("q")}, q.id limit 1)
  union all
  (select next.lane, next.created, h.n + 1
   from heads h cross join lateral (
     select ${laneSql("q")} as lane, q.created
     from net.http_request_queue q where q.next_attempt_at is null and ${laneSql("q")} > h.lane
     order by ${laneSql("q")}, q.id limit 1) next
   where h.n < ${MOST_LANES})
)`;

/** When what is due became so: each part is a range of an index, and of bounded length. */
const OLDEST_DUE = `select pg_catalog.min(since) as since from (
    select created as since from heads
    union all
    select created from (
      select created, next_attempt_at from net.http_request_queue where id >= 1 order by id limit ${MOST_ROWS}) lowest
    where next_attempt_at is null
    union all
    select created from (
      select created, next_attempt_at from net.http_request_queue where id < 1 order by id limit ${MOST_MADE_UP}) made_up
    where next_attempt_at is null
    union all
    (select next_attempt_at from net.http_request_queue
     where next_attempt_at > '-infinity' and next_attempt_at <= pg_catalog.statement_timestamp() order by next_attempt_at limit 1)
  ) due where pg_catalog.isfinite(since)`;

/** Columns of later versions are read through jsonb: null before. */
const SERVER_COLUMNS = `pg_catalog.pg_current_wal_insert_lsn()::text as current,
  ${SLOT_COLUMNS}, coalesce(s.active, false) as active,
  extract(epoch from (pg_catalog.to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8 as inactive_since,
  pg_catalog.to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason,
  (pg_catalog.to_jsonb(s) ->> 'synced')::bool as synced`;

const SELECT_SERVER = {
  name: "pgnetd_metrics_server",
  timeoutMs: LONGEST_READING_MS,
  text: `select ${SERVER_COLUMNS} from (select) one
left join pg_catalog.pg_replication_slots s on s.slot_name = $1::name`,
};

const SELECT = {
  name: "pgnetd_metrics",
  timeoutMs: LONGEST_READING_MS,
  text: `
with recursive ${HEADS},
${COUNTED}
select ${SERVER_COLUMNS},
  ${estimated("c.outbox", liveRows("net.http_request_queue"))} as outbox_rows,
  ${estimated("c.deferred", DEFERRED_ROWS)} as deferred_rows,
  ${estimated("c.dead", liveRows("net.http_dead_letter"))} as dead_letters,
  (select pg_catalog.count(*) from (select from net.http_host_settings where paused limit ${MOST_ROWS}) one)::float8 as hosts_paused,
  greatest(0::float8, extract(epoch from pg_catalog.clock_timestamp() - (${OLDEST_DUE}))::float8) as oldest_due
from counted c
left join pg_catalog.pg_replication_slots s on s.slot_name = $1::name`,
};

const serverSchema = z.object({
  current: z.string(),
  ...SLOT_FIELDS,
  active: z.boolean(),
  inactive_since: z.number().nullable(),
  invalidation_reason: z.string().nullable(),
  synced: z.boolean().nullable(),
});

const rowSchema = serverSchema.extend({
  outbox_rows: z.number(),
  deferred_rows: z.number(),
  dead_letters: z.number(),
  hosts_paused: z.number(),
  oldest_due: z.number().nullable(),
});

/** Reads what a scrape shows. What it costs does not grow with the queue. `slotName` null is the default one. */
export async function readDatabase(db: Queryable, slotName: string | null): Promise<DatabaseReading> {
  const row = rowSchema.parse(await readRow(db, SELECT, slotName));
  return {
    ...serverReading(row),
    outboxRows: row.outbox_rows,
    deferredRows: row.deferred_rows,
    deadLetters: row.dead_letters,
    oldestDueSeconds: row.oldest_due ?? 0,
    hostsPaused: row.hosts_paused,
  };
}

/** Reads what a scrape shows of the server, and touches nothing of schema `net`, which may be anybody's. */
export async function readServer(db: Queryable, slotName: string | null): Promise<ServerReading> {
  return serverReading(serverSchema.parse(await readRow(db, SELECT_SERVER, slotName)));
}

async function readRow(db: Queryable, select: Statement, slotName: string | null): Promise<unknown> {
  const name = slotName ?? defaultSlotName(await currentDatabase(db));
  return (await db.query<Record<string, unknown>>({ ...select, values: [name] })).rows[0];
}

function serverReading(row: z.infer<typeof serverSchema>): ServerReading {
  return {
    current: parseLsn(row.current),
    slot: {
      ...slotReading(row),
      isActive: row.active,
      inactiveSince: row.inactive_since,
      invalidationReason: row.invalidation_reason,
      isSynced: row.synced,
    },
  };
}
