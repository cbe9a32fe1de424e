import { NEVER, systemClock } from "../base/clock.ts";
import { runLoops, stopped } from "../base/loops.ts";
import { openPool } from "./pool.ts";

/** How far the making of an index has come. */
export interface IndexProgress {
  readonly index: string;
  /** What PostgreSQL does now, in its words. */
  readonly phase: string;
  readonly done: number;
  /** 0 while it is not known. */
  readonly total: number;
}

const LOOK_EVERY_MS = 500;

/** See https://www.postgresql.org/docs/current/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING */
const SELECT = `
select phase, coalesce(nullif(blocks_total, 0), nullif(tuples_total, 0), lockers_total, 0)::float8 as total,
  case when blocks_total > 0 then blocks_done when tuples_total > 0 then tuples_done else coalesce(lockers_done, 0) end::float8 as done
from pg_catalog.pg_stat_progress_create_index where pid = $1`;

/** What the watch of an index needs. */
export interface IndexWatch {
  /** For a session of its own: that of the index is busy. */
  readonly url: string;
  /** The process that makes the index. */
  readonly pid: number;
  readonly index: string;
  readonly report: (progress: IndexProgress) => void;
}

/** Runs `make`, and reports how far it has come. What the watching fails of is no failure of the index. */
export async function withProgress(watch: IndexWatch, make: () => Promise<unknown>): Promise<void> {
  const made = make();
  made.catch(() => undefined);
  await runLoops(NEVER, [
    async () => void (await made),
    async (signal) => {
      await report(watch, signal).catch(() => undefined);
      await stopped(signal);
    },
  ]);
}

async function report({ url, pid, index, report: say }: IndexWatch, signal: AbortSignal): Promise<void> {
  await using db = openPool({ url, size: 1, statementTimeoutMs: 5_000, signal });
  while (!signal.aborted) {
    await systemClock.sleep(LOOK_EVERY_MS, signal);
    if (signal.aborted) return;
    const { rows } = await db.query<{ phase: string; total: number; done: number }>({ text: SELECT, values: [pid] });
    const [row] = rows;
    if (row !== undefined) say({ index, ...row });
  }
}
