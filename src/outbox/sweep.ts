import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";
import { type Lsn, parseLsn } from "../pg/lsn.ts";
import type { Lane } from "./lane.ts";
import type { Request } from "./request.ts";
import { isOfSomeRow, readByHalves, type Row } from "./narrow.ts";
import { type OutboxRow, readRow, type RowContext } from "./row.ts";
import { parseSnapshot, type Snapshot } from "../pg/snapshot.ts";
import { SWEEP, SWEEP_IDS } from "./sweep-sql.ts";

/** A lane in the encoding of the database. */
export type LaneCursor = Buffer;

/** What further rows may take in memory. */
export interface SweepRoom {
  /** Most rows, of all lanes. */
  readonly rows: number;
  /** Most bytes of bodies, urls and headers; one row is read whatever its size. */
  readonly bytes: number;
  /** Most bytes of one row: larger ones are left. */
  readonly largest: number;
  /** Most rows of one lane, where `shares` does not say otherwise. */
  readonly perLane: number;
  /** Authorities whose lanes come before all others. */
  readonly authorities: readonly string[];
  /** What is in memory of lanes, and what of them still fits. Lanes with less than nothing queued come before all others, too, and are read in any case. */
  readonly shares: readonly { readonly lane: Lane; readonly queued: number; readonly room: number }[];
}

/** A request in memory: an id alone may be given again, by whoever replays a request. */
export type KnownRequest = Pick<Request, "id" | "created">;

/** What one sweep may read. */
export interface SweepPlan extends SweepRoom {
  /** Where to begin; null is at the first lane. */
  readonly from: LaneCursor | null;
  /** Most lanes beside the preferred ones of `shares`; "shares" reads those of `shares` alone. */
  readonly lanes: number | "shares";
  /** What is in memory: it is left out (rule leaveOutKnown). */
  readonly known: readonly KnownRequest[];
}

/** What one sweep found. */
export interface SweepResult {
  readonly rows: readonly OutboxRow[];
  readonly snapshot: Snapshot;
  readonly insertLsn: Lsn;
  /** A transaction id assigned to the sweep. */
  readonly nextXid: bigint;
  /** Lanes of which rows were left for lack of room. */
  readonly left: readonly Lane[];
  /** False where there are lanes that the sweep did not read. */
  readonly isWhole: boolean;
  /** Where the next sweep begins; null is at the first lane. */
  readonly next: LaneCursor | null;
  /** Milliseconds until the earliest deferred row is due, by the database's clock; null without any. */
  readonly nextDueMs: number | null;
}

const headSchema = z.object({
  snapshot: z.string(),
  insert_lsn: z.string(),
  next_xid: z.string(),
  outbox: z.coerce.number<string>(),
  left: z.array(z.string()),
  next_lane: z.instanceof(Buffer).nullable(),
  next_due_ms: z.number().nullable(),
});

/** What sweeps read with. */
export interface SweepOptions extends RowContext {
  /** Called with the table that the rows are of; throws where it is not the outbox that it should be. */
  readonly assertSame: (outbox: number) => void;
}

/** What a sweep returns of a row. */
const knownSchema = z
  .object({ of_lane: z.string(), unread: z.string().nullish().default(null) })
  .transform(({ of_lane, unread }) => ({ lane: of_lane, unread }));

/**
 * Reads waiting rows from the outbox. Where a row makes the statement fail, it is searched for, and read as one with a defect.
 * Rejects with the driver's error when the database cannot be asked, and with PG_REFUSED where it may hide rows.
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

async function query(db: Queryable, statement: typeof SWEEP, plan: SweepPlan): Promise<Row[]> {
  const { from, rows, bytes, largest, lanes, perLane, authorities, shares, known } = plan;
  const values = [
    from ?? Buffer.alloc(0),
    rows,
    bytes,
    perLane,
    known.map(({ id }) => String(id)),
    shares.map(({ lane }) => lane),
    shares.map(({ queued }) => queued),
    shares.map(({ room }) => room),
    largest,
    lanes === "shares" ? 0 : lanes,
    authorities,
    known.map(({ created }) => created),
  ];
  return (await db.query<Record<string, unknown>>({ ...statement, values })).rows;
}

/** Without any, one row of the statement has only what describes the sweep itself. */
function rowsOf(rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ id }) => id !== null);
}

function resultOf(
  { from }: SweepPlan,
  found: readonly Row[],
  read: readonly Row[],
  options: SweepOptions,
): SweepResult {
  const head = headSchema.parse(found[0]);
  options.assertSame(head.outbox);
  return {
    rows: read.map((row) => readRow(row, options, knownSchema.parse(row))),
    snapshot: parseSnapshot(head.snapshot),
    insertLsn: parseLsn(head.insert_lsn),
    nextXid: BigInt(head.next_xid),
    left: head.left,
    isWhole: from === null && head.next_lane === null,
    next: head.next_lane,
    nextDueMs: head.next_due_ms,
  };
}

const SNAPSHOT = { name: "pgnetd_snapshot", text: "select pg_catalog.pg_current_snapshot()::text as snapshot" };

/** The snapshot of this moment (rule watch). */
export async function currentSnapshot(db: Queryable): Promise<Snapshot> {
  const { rows } = await db.query<{ snapshot: string }>(SNAPSHOT);
  return parseSnapshot(z.string().parse(rows[0]?.snapshot));
}
