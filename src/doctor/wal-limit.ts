import type { Queryable } from "../pg/pool.ts";

/** Of all databases, physical ones included: the limit holds for every slot of the server. */
const SELECT_MOST_RETAINED = `
select slot_name::text as name, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::float8 as bytes
from pg_catalog.pg_replication_slots
where restart_lsn is not null and wal_status is distinct from 'lost'
order by 2 desc limit 1`;

/** A slot, and the WAL that the server keeps for it. */
export interface RetainingSlot {
  readonly name: string;
  readonly bytes: number;
}

/** The slot that retains most; null where there is none. */
export async function readMostRetained(db: Queryable): Promise<RetainingSlot | null> {
  const { rows } = await db.query<{ name: string; bytes: number }>({ text: SELECT_MOST_RETAINED });
  return rows[0] ?? null;
}

/** Twice what the limit is, and what is retained, in whole gigabytes: one that is lower than either would invalidate slots. */
export function raisedLimit(megabytes: number, retainedBytes: number): string {
  const bytes = 2 * Math.max(megabytes * 1024 ** 2, retainedBytes);
  return `${Math.ceil(bytes / 1024 ** 3)}GB`;
}

/** In whole gigabytes: as much as `limit`, and more where that would invalidate a slot at the next checkpoint. */
export function firstLimit(limitBytes: number, retainedBytes: number): string {
  return retainedBytes > limitBytes / 2 ? raisedLimit(0, retainedBytes) : `${Math.ceil(limitBytes / 1024 ** 3)}GB`;
}
