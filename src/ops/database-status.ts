import { z } from "zod";

import { currentDatabase } from "../pg/current-database.ts";
import type { Queryable } from "../pg/pool.ts";
import { type LockHolder, selectHolder } from "../leader/holder.ts";
import { type Lsn, parseLsn } from "../pg/lsn.ts";
import { defaultSlotName } from "../slot/slot.ts";
import type { SlotBlocker } from "../slot/blockers.ts";
import type { SlotHealth } from "../slot/health.ts";
import { BLOCKERS_COLUMN, BLOCKERS_FIELD, SLOT_COLUMNS, SLOT_FIELDS, slotReading } from "../slot/reading.ts";

/** What the database knows of pgnetd, whether a daemon runs or not. */
export interface DatabaseStatus {
  readonly slotName: string;
  readonly slot: SlotHealth;
  /** Transactions that the creation of the slot waits for. */
  readonly slotBlockers: readonly SlotBlocker[];
  /** WAL kept for the slot, in bytes; null without one. */
  readonly retainedWalBytes: number | null;
  /** The end of the WAL. */
  readonly current: Lsn;
  /** What the daemon has confirmed to the slot; null without one. */
  readonly confirmed: Lsn | null;
  /** The session that has the leader's lock; null where none has. */
  readonly leader: LockHolder | null;
  /** Requests in the outbox, counted as far as the reading was to. */
  readonly outboxRows: number;
  /** Of those, the ones that wait for a later time. */
  readonly deferred: number;
  /** Of the requests with the lowest ids. */
  readonly oldest: { readonly id: string; readonly ageSeconds: number } | null;
  readonly deadLetters: number;
}

/** Rows are counted up to this many: a backlog of millions should not make this slow. */
export const COUNT_MOST = 100_000;

/** A count as people read it: `100000 or more` where counting ended there. */
export function counted(count: number): string {
  return count >= COUNT_MOST ? `${COUNT_MOST} or more` : String(count);
}

/** Ids from the sequence begin at 1; a direct insert may have any, and a row with a low id need not be old. */
const OLDEST_OF = 100;

/** Two ranges of an index, however long the queue is: the oldest of the lowest ids, and of those a direct insert has made up. */
const SELECT_OLDEST = `
select id, created from (
  (select id, created from net.http_request_queue where id >= 1 order by id limit ${OLDEST_OF})
  union all
  (select id, created from net.http_request_queue where id < 1 order by id limit ${OLDEST_OF})
) lowest
order by not pg_catalog.isfinite(created), created, id
limit 1`;

/** What a reading may cost. */
export interface ReadingBounds {
  /** Rows are counted up to this many. */
  readonly countMost: number;
  /** The server ends it then, in milliseconds; undefined leaves it the time of any statement. */
  readonly timeoutMs?: number;
}

const select = (countMost: number): string => `
select pg_catalog.pg_current_wal_insert_lsn()::text as current,
  ${SLOT_COLUMNS}, ${BLOCKERS_COLUMN},
  (select pg_catalog.row_to_json(h) from (${selectHolder("l.objid = '0'::oid")}) h) as leader,
  (select pg_catalog.count(*) from (select from net.http_request_queue limit ${countMost}) q)::int as outbox_rows,
  (select pg_catalog.count(*) from (select from net.http_request_queue where next_attempt_at > pg_catalog.now() limit ${countMost}) q)::int as deferred,
  (select pg_catalog.count(*) from (select from net.http_dead_letter limit ${countMost}) d)::int as dead_letters,
  o.id::text as oldest_id, case when pg_catalog.isfinite(o.created) then extract(epoch from pg_catalog.now() - o.created)::float8 end as oldest_age
from (select) one
left join pg_catalog.pg_replication_slots s on s.slot_name = $1
left join lateral (${SELECT_OLDEST}) o on true`;

const rowSchema = z.object({
  current: z.string(),
  ...SLOT_FIELDS,
  blockers: BLOCKERS_FIELD,
  leader: z
    .object({
      pid: z.int().nullable(),
      gid: z.string().nullable(),
      user: z.string().nullable(),
      application: z.string().nullable(),
      address: z.string().nullable(),
      mayLead: z.boolean().nullable(),
    })
    .nullable(),
  outbox_rows: z.int(),
  deferred: z.int(),
  dead_letters: z.int(),
  oldest_id: z.string().nullable(),
  oldest_age: z.number().nullable(),
});

/** Reads the state of slot and outbox; `slotName` null is the default one. Runs only when somebody asks (P8). */
export async function readDatabaseStatus(
  db: Queryable,
  slotName: string | null,
  { countMost, ...within }: ReadingBounds = { countMost: COUNT_MOST },
): Promise<DatabaseStatus> {
  const name = slotName ?? defaultSlotName(await currentDatabase(db));
  const { rows } = await db.query({ text: select(countMost), values: [name], ...within });
  const row = rowSchema.parse(rows[0]);
  const { health, retainedWalBytes, confirmed } = slotReading(row);
  return {
    slotName: name,
    slot: health,
    slotBlockers: row.blockers ?? [],
    retainedWalBytes,
    current: parseLsn(row.current),
    confirmed,
    leader: row.leader,
    outboxRows: row.outbox_rows,
    deferred: row.deferred,
    oldest: row.oldest_id === null ? null : { id: row.oldest_id, ageSeconds: row.oldest_age ?? 0 },
    deadLetters: row.dead_letters,
  };
}
