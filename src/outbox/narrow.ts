import { toError } from "../base/errors.ts";
import type { Queryable } from "../pg/pool.ts";
import { isDataError, SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { READ_IDS } from "./sweep-sql.ts";

/** A row as a statement gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** True where a statement that reads rows may have failed for what is in one of them. */
export function isOfSomeRow(error: unknown): boolean {
  return isDataError(error) || isUnsure(error);
}

/** True for corrupted data, and for want of memory: the server may be at fault as well as a row. */
function isUnsure(error: unknown): boolean {
  const sqlstate = sqlstateOf(error);
  return sqlstate?.startsWith("XX") === true || sqlstate === SQLSTATE.outOfMemory;
}

/**
 * Reads rows, of which each has at least `id`, `created` and `bytes`, by halves down to those that cannot be read: they are
 * returned with `unread`, which is why, in their order. Rows that are gone meanwhile are left out. Rejects where no row can be read and
 * that may be the server's fault.
 */
export async function readByHalves(db: Queryable, rows: readonly Row[]): Promise<readonly Row[]> {
  const read = new Map<unknown, Row>();
  const failed = new Map<unknown, unknown>();
  const parts: (readonly Row[])[] = [rows];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    try {
      for (const row of await readPart(db, part)) read.set(row["id"], row);
    } catch (error) {
      if (!isOfSomeRow(error)) throw error;
      const [row] = part;
      if (part.length > 1) parts.push(...halves(part));
      else if (row !== undefined) failed.set(row["id"], error);
    }
  }
  for (const error of failed.values()) if (read.size === 0 && isUnsure(error)) throw error;
  return rows.flatMap((row): Row | readonly Row[] => {
    const error = failed.get(row["id"]);
    return error === undefined ? (read.get(row["id"]) ?? []) : { ...row, unread: whyUnread(error) };
  });
}

/** Which rows is for the server to compare: another connection may write their times in another time zone. */
async function readPart(db: Queryable, part: readonly Row[]): Promise<readonly Row[]> {
  const values = [part.map(({ id }) => id), part.map(({ created }) => created)];
  return (await db.query<Record<string, unknown>>({ ...READ_IDS, values })).rows;
}

/** Two parts of about the same weight: what weighs most is alone soonest. */
function halves(part: readonly Row[]): [readonly Row[], readonly Row[]] {
  const half = part.reduce((sum, row) => sum + weightOf(row), 0) / 2;
  let at = 0;
  for (let sum = 0; at < part.length - 1 && (at === 0 || sum < half); at++) sum += weightOf(part[at]);
  return [part.slice(0, at), part.slice(at)];
}

function weightOf(row: Row | undefined): number {
  return Number(row?.["bytes"] ?? 0);
}

function whyUnread(error: unknown): string {
  return `it cannot be read: ${toError(error).message} (${sqlstateOf(error)})`;
}
