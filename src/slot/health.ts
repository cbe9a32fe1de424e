import type { Lsn } from "../pg/lsn.ts";

/**
 * `ok`: it holds what it must. `at_risk`: it is about to be invalidated. `lost`: it was; it is recreated automatically.
 * `missing`: there is none. `creating`: it waits until transactions have ended that ran before it. `unknown`: the slot of that name
 * is not ours, or the database could not be read.
 */
export type SlotHealth = "ok" | "at_risk" | "lost" | "missing" | "creating" | "unknown";

/** What decides on the health of a slot. */
export interface SlotState {
  /** The slot is one of this database, for logical decoding. */
  readonly isOurs: boolean;
  /** `pg_replication_slots.wal_status`. */
  readonly walStatus: string | null;
  /** From its oldest needed position to the end of the WAL, in bytes. */
  readonly retainedWalBytes: number;
  /** What may be written before it is invalidated, in bytes; null without `max_slot_wal_keep_size`. */
  readonly safeWalBytes: number | null;
  /** Null until it is created: the server removes a slot whose creation fails. */
  readonly confirmed: Lsn | null;
}

/** A slot is at risk with less than this share of its allowance left. */
const RISKY_SHARE = 1 / 4;

/** Health of the slot, null where there is none. */
export function slotHealth(slot: SlotState | null): SlotHealth {
  if (slot === null) return "missing";
  if (!slot.isOurs) return "unknown";
  if (slot.walStatus === "lost") return "lost";
  if (slot.confirmed === null) return "creating";
  if (slot.walStatus === "unreserved") return "at_risk";
  const { safeWalBytes, retainedWalBytes } = slot;
  if (safeWalBytes === null) return "ok";
  return safeWalBytes < (safeWalBytes + retainedWalBytes) * RISKY_SHARE ? "at_risk" : "ok";
}
