import type { OutboxRow } from "../../src/outbox/row.ts";
import type { Request } from "../../src/outbox/request.ts";
import type { Snapshot } from "../../src/pg/snapshot.ts";
import type { SweepPlan, SweepResult } from "../../src/outbox/sweep.ts";

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
  /** No two rows have the same, though a lost row's id may be given again. */
  readonly created: string;
  readonly lane: string;
  /** Tries that fail before one is answered well. */
  failures: number;
  /** World time at which it may be sent first; null is at once. */
  nextAttemptAt: number | null;
  attempts: number;
  state: "waiting" | "answered" | "cancelled";
  sends: number;
  /** Sends that a crash, or a loss of leadership, allows to be repeated. */
  excused: number;
}

/** The row as a sweep reads it. */
export function sweptRow(row: Row): OutboxRow {
  const request: Request = {
    id: row.id,
    method: "POST",
    url: `http://${row.lane}/`,
    headers: [],
    body: null,
    timeoutMs: 5_000,
    created: row.created,
    attempts: row.attempts,
    options: { maxAttempts: 100, retryFirstMs: 100, retryMaxMs: 1_000, maxRedirects: 5, keep: "all" },
    bytes: 600,
  };
  return { request, defect: null, isForeign: false, nextAttemptAt: null, lane: row.lane, host: row.lane };
}

/** The row as the stream brings it. */
export function streamed(row: Row): Readonly<Record<string, unknown>> {
  return {
    id: String(row.id),
    method: "POST",
    url: `http://${row.lane}/`,
    headers: null,
    body: null,
    timeout_milliseconds: 5_000,
    created: row.created,
    attempts: 0,
    next_attempt_at: row.nextAttemptAt === null ? null : String(row.nextAttemptAt),
    options: '{"max_attempts": 100, "retry_first_ms": 100, "retry_max_ms": 1000}',
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

/** What a sweep reads of the waiting rows that are visible to it. */
export function readRows(
  waiting: readonly Row[],
  { rows: limit, perLane, shares, known, lanes: which }: SweepPlan,
  now: number,
): Pick<SweepResult, "left" | "isWhole" | "next" | "nextDueMs"> & { readonly rows: readonly Row[] } {
  const inMs = (row: Row): number => (row.nextAttemptAt ?? 0) - now;
  const ready = waiting.filter((row) => inMs(row) <= 0 || row.nextAttemptAt === null);
  const waitingLanes = new Set(ready.map(({ lane }) => lane));
  const read = which === "shares" ? shares.map(({ lane }) => lane) : [...waitingLanes];
  const lanes = read.map((lane) => {
    const share = shares.find((one) => one.lane === lane) ?? { queued: 0, room: perLane };
    const unknown = ready.filter(
      (row) => row.lane === lane && !known.some(({ id, created }) => id === row.id && created === row.created),
    );
    const byId = unknown.toSorted((one, other) => Number(one.id - other.id));
    const fits = byId.slice(0, share.room).map((row, index) => ({ row, place: share.queued + index }));
    return { lane, fits, unread: share.room === 0 ? Infinity : unknown.length };
  });
  const inTurn = lanes.flatMap(({ fits }) => fits).toSorted((one, other) => one.place - other.place);
  const rows = inTurn.slice(0, limit).map(({ row }) => row);
  const left = lanes.filter(({ lane, unread }) => unread > rows.filter((row) => row.lane === lane).length);
  const later = waiting.filter((row) => row.nextAttemptAt !== null && inMs(row) > 0);
  return {
    rows,
    left: left.map(({ lane }) => lane),
    isWhole: true,
    next: null,
    nextDueMs: later.length === 0 ? null : Math.min(...later.map(inMs)),
  };
}

/** What a standby has that did not receive the last `behind` commits: whatever it has of a transaction that committed is visible. */
export function receivedOf(
  transactions: readonly Transaction[],
  log: readonly Transaction[],
  behind: number,
): {
  readonly transactions: Transaction[];
  readonly log: Transaction[];
  readonly lost: Row[];
  readonly restored: Row[];
} {
  const received = log.slice(0, Math.max(0, log.length - behind));
  const has = (one: Transaction): boolean => (one.rows.length === 0 ? one.at !== "open" : received.includes(one));
  const lost = new Set(transactions.filter((one) => !has(one)).flatMap(({ rows }) => rows));
  return {
    transactions: transactions
      .filter(has)
      .map((one) => (one.at === "recorded" ? Object.assign(one, { at: "visible" }) : one)),
    log: received,
    lost: [...lost],
    restored: log.slice(received.length).flatMap(({ truncates = [] }) => truncates.filter((row) => !lost.has(row))),
  };
}
