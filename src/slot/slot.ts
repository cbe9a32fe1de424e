import { formatLsn, type Lsn, parseLsn } from "../pg/lsn.ts";

/** How the slot is made where it is missing. */
export interface SlotOptions {
  /** Lower case letters, digits and underscores, at most 63: PostgreSQL's own rule. */
  readonly name: string;
  readonly plugin: string;
  /** Gone with the connection: no WAL is retained while the daemon is down, and each start waits for a new slot. */
  readonly temporary: boolean;
  /** Kept on standbys, too (PostgreSQL 17 and newer). */
  readonly failover: boolean;
}

/** What `pg_replication_slots` says of a slot. */
export interface SlotRow {
  readonly plugin: string | null;
  readonly database: string | null;
  readonly temporary: boolean;
  readonly activePid: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`; null where nothing is reserved. */
  readonly walStatus: string | null;
  readonly confirmed: Lsn;
}

/** What to do about the slot before streaming. */
export type SlotDecision =
  | { readonly kind: "use"; readonly confirmed: Lsn }
  | { readonly kind: "create" }
  /** Ours but useless: dropped and recreated; the outbox sweep brings what it would have brought. */
  | { readonly kind: "recreate"; readonly why: string }
  /** Somebody else's: never touched. */
  | { readonly kind: "refuse"; readonly why: string; readonly hint: string };

/** What to do where somebody else reads the slot. */
export const IN_USE_HINT =
  "Another process uses the slot: end it (active_pid in pg_replication_slots), or set slot.name (PGNETD_SLOT_NAME).";

/**
 * P2: a missing or lost slot is recreated automatically, another database's slot is left alone. `renew` is
 * whether the stream of this slot could not be read.
 */
export function decideSlot(
  found: SlotRow | null,
  wanted: SlotOptions,
  { database, renew }: { readonly database: string; readonly renew: boolean },
): SlotDecision {
  if (found === null) return { kind: "create" };
  if (found.database !== database) {
    return {
      kind: "refuse",
      why: `replication slot "${wanted.name}" belongs to ${found.database === null ? "physical replication" : `database "${found.database}"`}`,
      hint: "Set slot.name (PGNETD_SLOT_NAME) to a name that is free on this server.",
    };
  }
  if (found.plugin !== wanted.plugin) {
    return { kind: "recreate", why: `it was made for plugin ${found.plugin ?? "none"}, not ${wanted.plugin}` };
  }
  if (found.walStatus === "lost") {
    return { kind: "recreate", why: "it was invalidated: the WAL it needed is gone (max_slot_wal_keep_size)" };
  }
  if (renew) return { kind: "recreate", why: "what it brought could not be read" };
  if (wanted.temporary && !found.temporary) return { kind: "recreate", why: "it is permanent, not temporary" };
  if (found.activePid !== null) {
    const why = `replication slot "${wanted.name}" is active for PID ${found.activePid}`;
    return { kind: "refuse", why, hint: IN_USE_HINT };
  }
  return { kind: "use", confirmed: found.confirmed };
}

/** Reads one slot; `name` must have passed the rule of `SlotOptions.name`. */
export function selectSlot(name: string): string {
  return `select plugin, database, temporary, active_pid, wal_status, confirmed_flush_lsn::text as confirmed
    from pg_catalog.pg_replication_slots where slot_name = '${name}'`;
}

/** Parses what `selectSlot` returned, null where there is no such slot. */
export function readSlot(row: Readonly<Record<string, unknown>> | undefined): SlotRow | null {
  if (row === undefined) return null;
  const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
  return {
    plugin: text(row["plugin"]),
    database: text(row["database"]),
    temporary: row["temporary"] === true,
    activePid: typeof row["active_pid"] === "number" ? row["active_pid"] : null,
    walStatus: text(row["wal_status"]),
    confirmed: parseLsn(text(row["confirmed"]) ?? "0/0"),
  };
}

/** https://www.postgresql.org/docs/current/protocol-replication.html; the old form of the options works from 14 to 18. */
export function createSlot(slot: SlotOptions): string {
  const kind = slot.temporary ? "TEMPORARY LOGICAL" : "LOGICAL";
  const options = slot.failover ? "(SNAPSHOT 'nothing', FAILOVER true)" : "NOEXPORT_SNAPSHOT";
  return `CREATE_REPLICATION_SLOT "${slot.name}" ${kind} ${slot.plugin} ${options}`;
}

/** `START_REPLICATION` from `from`; the server goes on from the confirmed position where that is later. */
export function startReplication(name: string, from: Lsn, options: readonly string[]): string {
  return `START_REPLICATION SLOT "${name}" LOGICAL ${formatLsn(from)} (${options.join(", ")})`;
}

/** `pgnetd_` and the database's name, in the characters a slot name may have, cut to PostgreSQL's 63. */
export function defaultSlotName(database: string): string {
  return `pgnetd_${database.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`.slice(0, 63);
}
