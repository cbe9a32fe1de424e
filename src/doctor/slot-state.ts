import { z } from "zod";

import { parseLsn } from "../pg/lsn.ts";
import type { Queryable } from "../pg/pool.ts";
import { selectBlockers, type SlotBlocker } from "../slot/blockers.ts";
import { type SlotHealth, slotHealth } from "../slot/health.ts";
import { readSlot, selectSlot, type SlotRow } from "../slot/slot.ts";

/** What the server knows of our slot. */
export interface SlotState {
  /** Null where there is none. */
  readonly row: SlotRow | null;
  readonly health: SlotHealth;
  readonly blockers: readonly SlotBlocker[];
  readonly retainedWalBytes: number;
  /** Null without `max_slot_wal_keep_size`. */
  readonly safeWalBytes: number | null;
  /** `invalidation_reason`, from PostgreSQL 17 on. */
  readonly invalidation: string | null;
}

const SELECT = `
select database = pg_catalog.current_database() as ours, wal_status, safe_wal_size::float8 as safe,
  confirmed_flush_lsn::text as confirmed, pg_catalog.to_jsonb(s) ->> 'invalidation_reason'::text as invalidation,
  coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), restart_lsn)::float8, 0::float8) as retained,
  case when confirmed_flush_lsn is null and active_pid is not null then (${selectBlockers("active_pid")}) else '[]'::json end as blockers
from pg_catalog.pg_replication_slots s where slot_name = $1`;

const rowSchema = z.object({
  ours: z.boolean().nullable(),
  wal_status: z.string().nullable(),
  safe: z.number().nullable(),
  confirmed: z.string().nullable(),
  invalidation: z.string().nullable(),
  retained: z.number(),
  blockers: z.array(
    z.object({
      pid: z.int(),
      user: z.string().nullable(),
      application: z.string().nullable(),
      since: z.string().nullable(),
    }),
  ),
});

/** Reads the slot of that name; nothing of the queue. */
export async function readSlotState(db: Queryable, name: string): Promise<SlotState> {
  const found = rowSchema.optional().parse((await db.query({ text: SELECT, values: [name] })).rows[0]);
  const { rows } = await db.query<Record<string, unknown>>({ text: selectSlot(name) });
  const health = slotHealth(
    found === undefined
      ? null
      : {
          isOurs: found.ours === true,
          walStatus: found.wal_status,
          retainedWalBytes: found.retained,
          safeWalBytes: found.safe,
          confirmed: found.confirmed === null ? null : parseLsn(found.confirmed),
        },
  );
  return {
    row: readSlot(rows[0]),
    health,
    blockers: found?.blockers ?? [],
    retainedWalBytes: found?.retained ?? 0,
    safeWalBytes: found?.safe ?? null,
    invalidation: found?.invalidation ?? null,
  };
}
