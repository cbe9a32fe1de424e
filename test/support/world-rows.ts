import type { Request } from "../../src/outbox/request.ts";
import type { Snapshot } from "../../src/outbox/snapshot.ts";

/** The first transaction id: near the wrap of the low 32 bits, so that every run crosses it. */
export const NOW_ACTIVE = 4_294_967_290n;

/** One transaction of the world: its rows, and how far it came. */
export interface Transaction {
  readonly xid: bigint;
  readonly rows: readonly Row[];
  /** Rows that it removes all at once. */
  readonly truncates?: readonly Row[];
  /** `recorded` is decodable but not visible, as a commit waiting for a synchronous standby. */
  at: "open" | "recorded" | "visible" | "aborted";
  commitLsn: bigint;
}

/** One row of the world's outbox, and the referee's counts for it. */
export interface Row {
  readonly id: bigint;
  /** Tries that fail before one is answered well. */
  failures: number;
  /** World time at which it may be sent first; null is at once. */
  nextAttemptAt: number | null;
  attempts: number;
  state: "waiting" | "answered" | "cancelled";
  sends: number;
  /** Sends that a crash, or a loss of the lead, allows to be repeated. */
  excused: number;
}

/** The row as a sweep reads it. */
export function requestOf(row: Row): Request {
  return {
    id: row.id,
    method: "POST",
    url: "http://example.com/",
    headers: [],
    body: null,
    timeoutMs: 5_000,
    attempts: row.attempts,
    options: { maxAttempts: 100, retryFirstMs: 100, retryMaxMs: 1_000, maxRedirects: 5, keep: "all" },
    bytes: 600,
  };
}

/** The row as the stream brings it. */
export function streamed(row: Row): Readonly<Record<string, unknown>> {
  return {
    id: String(row.id),
    method: "POST",
    url: "http://example.com/",
    headers: null,
    body: null,
    timeout_milliseconds: 5_000,
    attempts: 0,
    next_attempt_at: row.nextAttemptAt === null ? null : new Date(row.nextAttemptAt),
    options: { max_attempts: 100, retry_first_ms: 100, retry_max_ms: 1_000 },
  };
}

/** As `pg_current_snapshot()`: ids at or above `xmax` are not listed, though they may be in progress. */
export function snapshotOf(transactions: readonly Transaction[]): Snapshot {
  const ended = transactions.filter(({ at }) => at === "visible" || at === "aborted").map(({ xid }) => xid);
  const running = transactions.filter(({ at }) => at === "open" || at === "recorded").map(({ xid }) => xid);
  const xmax = ended.reduce((most, xid) => (xid >= most ? xid + 1n : most), NOW_ACTIVE);
  const inProgress = new Set(running.filter((xid) => xid < xmax));
  const xmin = [...inProgress].reduce((least, xid) => (xid < least ? xid : least), xmax);
  return { xmin, xmax, inProgress };
}
