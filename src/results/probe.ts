import type { Clock } from "../base/clock.ts";
import type { Queryable } from "../pg/pool.ts";
import type { Completion } from "./completion.ts";
import { COMMIT, statementOf } from "./statements.ts";
import { type WriteFailure, writeFailure } from "./write-failure.ts";

/** A database that takes a statement without rows does so within this time, in milliseconds. */
export const PROBE_MS = 2_000;

/**
 * Null where the database takes a statement of `kind` without rows, and a commit: it answers, and tables, columns and rights are there, and free of
 * locks, and no commit waits for a standby. Else what keeps it from that.
 */
export async function probe(
  { db, clock }: { readonly db: Queryable; readonly clock: Clock },
  kind: Completion["kind"],
  signal: AbortSignal,
): Promise<WriteFailure | null> {
  const end = new AbortController();
  try {
    return await Promise.race([
      db
        .query({ ...statementOf([], kind), timeoutMs: PROBE_MS })
        .then(() => db.query({ ...COMMIT, timeoutMs: PROBE_MS }))
        .then(() => null, writeFailure),
      clock
        .sleep(PROBE_MS, AbortSignal.any([end.signal, signal]))
        .then(() => writeFailure(new Error(`the database does not answer within ${PROBE_MS / 1_000} seconds`))),
    ]);
  } finally {
    end.abort();
  }
}
