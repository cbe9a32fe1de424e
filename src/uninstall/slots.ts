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
