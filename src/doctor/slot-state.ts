import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";
import type { SlotBlocker } from "../slot/blockers.ts";
import {
  BLOCKERS_COLUMN,
  BLOCKERS_FIELD,
  SLOT_COLUMNS,
  SLOT_FIELDS,
  type SlotReading,
  slotReading,
} from "../slot/reading.ts";
import { readSlot, selectSlot, type SlotRow } from "../slot/slot.ts";

/** What the server knows of our slot. */
export interface SlotState extends SlotReading {
  /** Null where there is none. */
  readonly row: SlotRow | null;
  readonly blockers: readonly SlotBlocker[];
  /** `invalidation_reason`, from PostgreSQL 17 on. */
  readonly invalidation: string | null;
}

const SELECT = `
select ${SLOT_COLUMNS}, pg_catalog.to_jsonb(s) ->> 'invalidation_reason'::text as invalidation, ${BLOCKERS_COLUMN}
from (select) one left join pg_catalog.pg_replication_slots s on s.slot_name = $1`;

const rowSchema = z.object({ ...SLOT_FIELDS, invalidation: z.string().nullable(), blockers: BLOCKERS_FIELD });

/** Reads the slot of that name; nothing of the queue. */
export async function readSlotState(db: Queryable, name: string): Promise<SlotState> {
  const found = rowSchema.parse((await db.query({ text: SELECT, values: [name] })).rows[0]);
  const { rows } = await db.query<Record<string, unknown>>({ text: selectSlot(name) });
  const { invalidation, blockers } = found;
  return { ...slotReading(found), row: readSlot(rows[0]), blockers: blockers ?? [], invalidation };
}
