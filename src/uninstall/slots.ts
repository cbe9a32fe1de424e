import { type Clock, NEVER } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { currentDatabase } from "../pg/current-database.ts";
import { isTrusted } from "../pg/ownership.ts";
import type { Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { PUBLICATIONS } from "../pg/own-publications.ts";
import { defaultSlotName, readSlot, selectSlot } from "../slot/slot.ts";

/** Which slot to drop. */
export interface SlotRemoval {
  /** Null is the default one of the database. */
  readonly name: string | null;
  /** How long a slot in use is tried again, in milliseconds: a session that ended just now holds it for a moment. */
  readonly waitMs: number;
  readonly clock: Clock;
}

const AGAIN_MS = 50;

/**
 * Drops the replication slot, so that it holds no WAL; returns its name, or null where there was none. Throws NOT_DONE
 * where it is in use, or not one of this database.
 */
export async function dropSlot(db: Queryable, { name, waitMs, clock }: SlotRemoval): Promise<string | null> {
  const database = await currentDatabase(db);
  const slot = name ?? defaultSlotName(database);
  for (const until = clock.now() + waitMs; ; await clock.sleep(AGAIN_MS, NEVER)) {
    const found = readSlot((await db.query<Record<string, unknown>>({ text: selectSlot(slot) })).rows[0]);
    if (found === null) return null;
    if (found.database !== database) {
      throw new PgnetdError("NOT_DONE", `replication slot "${slot}" is not one of this database`, {
        hint: "It was left alone. Set slot.name (PGNETD_SLOT_NAME) as the daemon has it.",
      });
    }
    if (found.activePid === null && (await isDropped(db, slot))) return slot;
    if (clock.now() >= until) {
      throw new PgnetdError("NOT_DONE", `replication slot "${slot}" is in use by process ${found.activePid ?? "?"}`, {
        hint: "Stop every pgnetd of this database, then run the command again.",
      });
    }
  }
}

/** Slots with our names; and, where ours was not found, all that pgnetd could have made: the daemon may have had a name of its own for it. */
const SELECT_LEFT = `
select s.slot_name::text as name from pg_catalog.pg_replication_slots s
where s.database = pg_catalog.current_database() and s.slot_type = 'logical' and not s.active and not s.temporary
  and (pg_catalog.starts_with(s.slot_name::text, 'pgnetd_') or not $1 and s.plugin in ('pgoutput', 'wal2json'))
order by 1`;

/** Slots of this database that nobody reads, and that may be of a daemon of it. `dropped` is the one that was dropped, null where there was none. */
export async function readSlotsLeft(db: Queryable, dropped: string | null): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>({ text: SELECT_LEFT, values: [dropped !== null] });
  return rows.map(({ name }) => name);
}

/** What to do about them. */
export function slotsLeftLines(names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  return [
    "WARNING: nobody reads these slots of this database, and WAL is kept for them until the disk is full. Drop those that a daemon had under another name (slot.name, or the database was renamed):",
    ...names.map((name) => `  select pg_drop_replication_slot('${name}');`),
  ];
}

/** False where somebody acquired it in between. */
async function isDropped(db: Queryable, slot: string): Promise<boolean> {
  try {
    await db.query({ text: "select pg_catalog.pg_drop_replication_slot($1)", values: [slot] });
    return true;
  } catch (error) {
    if (sqlstateOf(error) === SQLSTATE.objectInUse) return false;
    throw error;
  }
}

/** Drops the publications that are there and belong to nobody else; returns their names. */
export async function dropPublications(db: Queryable): Promise<readonly string[]> {
  const names = PUBLICATIONS.map(({ name }) => name);
  const { rows } = await db.query<{ name: string }>({
    text: `select p.pubname::text as name from pg_catalog.pg_publication p
      where p.pubname = any ($1) and ${isTrusted("p.pubowner")} order by p.pubname`,
    values: [names],
  });
  for (const { name } of rows) await db.query({ text: `drop publication ${name}` });
  return rows.map(({ name }) => name);
}
