import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";
import { type Lsn, parseLsn } from "../wal/lsn.ts";
import { isOfSomeRow, readByHalves, type Row } from "./narrow.ts";
import { type OutboxRow, readRow, type RowDefaults } from "./row.ts";
import { parseSnapshot, type Snapshot } from "./snapshot.ts";
import { LOWEST_ID, SWEEP, SWEEP_IDS } from "./sweep-sql.ts";

/** What one sweep may read. */
export interface SweepPlan {
  /** Rows never parked are read from the next higher id on. */
  readonly above: bigint;
  /** Rows at most. */
  readonly rows: number;
  /** Bytes of bodies, urls and headers at most; one row of each kind is read whatever its size. */
  readonly bytes: number;
  /** Ids in memory: they are left out (rule leaveOutKnown). */
  readonly known: readonly bigint[];
}

/** What one sweep found. */
export interface SweepResult {
  readonly rows: readonly OutboxRow[];
  readonly snapshot: Snapshot;
  readonly insertLsn: Lsn;
  /** Null for a sweep that cannot be the last, since it did not start at the lowest id. */
  readonly nextXid: bigint | null;
  /** Highest id read of the rows that were never parked; null without any. */
  readonly highestId: bigint | null;
  /** Nothing was left behind for want of room. */
  readonly all: boolean;
  /** Milliseconds until the earliest parked row is due, by the database's clock; null without any. */
  readonly nextDueMs: number | null;
}

const HIGHEST_ID = 2n ** 63n - 1n;

const headSchema = z.object({
  snapshot: z.string(),
  insert_lsn: z.string(),
  next_xid: z.string().nullable(),
  outbox: z.coerce.number<string>(),
  due_count: z.int(),
  fresh_count: z.int(),
  next_due_ms: z.number().nullable(),
});

/** What sweeps read with. */
export interface SweepOptions extends RowDefaults {
  /** Told which table the rows are of; throws where it is not the outbox that it should be. */
  readonly assertSame: (outbox: number) => void;
}

/** Why a row was not given whole; absent or null where it was. */
const unreadSchema = z.string().nullish().default(null);

/**
 * Reads waiting rows from the outbox. Where a row makes the statement fail, it is looked for, and read as one with a defect.
 * Rejects with the driver's error when the database cannot be asked.
 */
export async function sweep(db: Queryable, plan: SweepPlan, options: SweepOptions): Promise<SweepResult> {
  try {
    const rows = await query(db, SWEEP, plan);
    return resultOf(plan, rows, rowsOf(rows), options);
  } catch (error) {
    if (!isOfSomeRow(error)) throw error;
  }
  const narrowed = { ...plan, rows: Math.min(plan.rows, NARROWED_ROWS) };
  const rows = await query(db, SWEEP_IDS, narrowed);
  return resultOf(narrowed, rows, await readByHalves(db, rowsOf(rows)), options);
}

/** So few rows are read where one of them makes the statement fail: the others do not wait for long. */
const NARROWED_ROWS = 100;

async function query(db: Queryable, statement: typeof SWEEP, { above, rows, bytes, known }: SweepPlan): Promise<Row[]> {
  const values = [fromId(above).toString(), known.map(String), rows, bytes];
  return (await db.query<Record<string, unknown>>({ ...statement, values })).rows;
}

/** Without any, one row of the statement has nothing but what it tells of itself. */
function rowsOf(rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ id }) => id !== null);
}

function resultOf(
  { rows: limit }: SweepPlan,
  found: readonly Row[],
  read: readonly Row[],
  options: SweepOptions,
): SweepResult {
  const head = headSchema.parse(found[0]);
  options.assertSame(head.outbox);
  const dueLimit = Math.floor((limit + 1) / 2);
  const fresh = rowsOf(found).filter((row) => row["next_attempt_at"] === null);
  return {
    rows: read.map((row) => readRow(row, options, unreadSchema.parse(row["unread"]))),
    snapshot: parseSnapshot(head.snapshot),
    insertLsn: parseLsn(head.insert_lsn),
    nextXid: head.next_xid === null ? null : BigInt(head.next_xid),
    highestId: fresh.reduce<bigint | null>((highest, { id }) => higher(highest, BigInt(String(id))), null),
    all:
      head.due_count < dueLimit &&
      head.fresh_count < limit - head.due_count &&
      read.length === head.due_count + head.fresh_count,
    nextDueMs: head.next_due_ms,
  };
}

function higher(highest: bigint | null, id: bigint): bigint {
  return highest === null || id > highest ? id : highest;
}

/** The lowest id to read: for 0, where every sweep starts, the lowest there can be. */
function fromId(above: bigint): bigint {
  if (above === 0n) return LOWEST_ID;
  return above === HIGHEST_ID ? above : above + 1n;
}

const SNAPSHOT = { name: "pgnetd_snapshot", text: "select pg_catalog.pg_current_snapshot()::text as snapshot" };

/** The snapshot of this moment (rule watch). */
export async function currentSnapshot(db: Queryable): Promise<Snapshot> {
  const { rows } = await db.query<{ snapshot: string }>(SNAPSHOT);
  return parseSnapshot(z.string().parse(rows[0]?.snapshot));
}
