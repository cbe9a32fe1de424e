import { z } from "zod";

import { type Lsn, parseLsn } from "../pg/lsn.ts";
import { selectBlockers, type SlotBlocker } from "./blockers.ts";
import { type SlotHealth, slotHealth } from "./health.ts";

/** What the server knows of the slot, without asking for more than one row of its catalog. */
export interface SlotReading {
  readonly health: SlotHealth;
  /** WAL kept for the slot, in bytes; null without one. */
  readonly retainedWalBytes: number | null;
  /** What may be written before it is invalidated, in bytes; null without `max_slot_wal_keep_size`. */
  readonly safeWalBytes: number | null;
  /** What the daemon has confirmed to it; null without one. */
  readonly confirmed: Lsn | null;
}

/** The columns that `slotReading` reads, of a row `s` of `pg_replication_slots` that may be absent. */
export const SLOT_COLUMNS = `s.slot_name is not null as found, s.database = pg_catalog.current_database() as ours,
  s.wal_status::text, s.safe_wal_size::float8 as safe, s.confirmed_flush_lsn::text as confirmed,
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), s.restart_lsn)::float8 as retained`;

/** And those it sends as. */
export const SLOT_FIELDS = {
  found: z.boolean(),
  ours: z.boolean().nullable(),
  wal_status: z.string().nullable(),
  safe: z.number().nullable(),
  confirmed: z.string().nullable(),
  retained: z.number().nullable(),
} as const;

const slotSchema = z.object(SLOT_FIELDS);

/** Reads the columns of `SLOT_COLUMNS`. */
export function slotReading(row: z.infer<typeof slotSchema>): SlotReading {
  const { found, ours, wal_status: walStatus, safe: safeWalBytes, retained: retainedWalBytes } = row;
  const confirmed = row.confirmed === null ? null : parseLsn(row.confirmed);
  const state = {
    isOurs: ours === true,
    walStatus,
    retainedWalBytes: retainedWalBytes ?? 0,
    safeWalBytes,
    confirmed,
  };
  return { health: slotHealth(found ? state : null), retainedWalBytes, safeWalBytes, confirmed };
}

/** The column of what the creation of `s` waits for: null unless it is being created. */
export const BLOCKERS_COLUMN = `case when s.confirmed_flush_lsn is null and s.active_pid is not null then (${selectBlockers("s.active_pid")}) end as blockers`;

/** Reads it. */
export const BLOCKERS_FIELD: z.ZodType<readonly SlotBlocker[] | null> = z
  .array(
    z.object({
      pid: z.int(),
      user: z.string().nullable(),
      application: z.string().nullable(),
      since: z.string().nullable(),
    }),
  )
  .nullable();
