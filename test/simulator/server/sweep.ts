import { PREFERRED } from "../../../src/outbox/sweep-lanes.ts";
import { filled } from "../filled.ts";
import { virtualNow } from "../virtual-time.ts";
import type { Database, Row } from "./database.ts";

interface Plan {
  readonly from: string;
  readonly rows: number;
  readonly bytes: number;
  readonly perLane: number;
  readonly known: ReadonlySet<string>;
  readonly shares: ReadonlyMap<string, { readonly queued: number; readonly room: number }>;
  readonly largest: number;
  readonly lanes: number;
  readonly preferred: ReadonlySet<string>;
}

interface LaneRows {
  readonly lane: string;
  readonly queued: number;
  readonly room: number;
  /** What is read of the lane: one more than it has room for. */
  readonly placed: readonly Row[];
}

/** Rows that a sweep may read of each lane, however many lanes there are. */
const LEAST_READ = 2;

/** The statement of a sweep, with its parameters as in `src/outbox/sweep-sql.ts`. It looks for `mostLanes` lanes, or fewer where the statement says so; where it says none, it reads those whose shares it gives. */
export function sweepRows(
  database: Database,
  values: readonly unknown[],
  mostLanes: number,
): Record<string, unknown>[] {
  const plan = planOf(values);
  const waiting = [...database.outbox.values()].filter((row) => database.isVisible(row));
  const { lanes, next } = lanesOf(waiting, plan, Math.min(mostLanes, plan.lanes));
  const places = lanes.flatMap(({ placed, queued, room, lane }) =>
    placed.slice(0, room).map((row, index) => ({ row, lane, place: queued + index + 1 })),
  );
  const inTurn = places.toSorted((one, other) => one.place - other.place || Number(one.row.id - other.row.id));
  let sum = 0;
  const fitting = inTurn
    .filter(({ row }) => sizeOf(row) <= plan.largest)
    .slice(0, plan.rows)
    .filter(({ row }, index) => {
      sum += sizeOf(row);
      return index === 0 || sum <= plan.bytes;
    });
  const left = lanes
    .filter(({ lane, placed, room }) => room === 0 || placed.length > fitting.filter((one) => one.lane === lane).length)
    .map(({ lane }) => lane);
  const due = waiting.flatMap(({ nextAttemptAt }) =>
    nextAttemptAt !== null && nextAttemptAt > virtualNow() ? [nextAttemptAt] : [],
  );
  const head = {
    snapshot: database.snapshot(),
    outbox: "16400",
    next_lane: next === null ? null : Buffer.from(next),
    next_due_ms: due.length === 0 ? null : Math.min(...due) - virtualNow(),
  };
  const rows = fitting.map(({ row, lane }, index) => ({
    ...head,
    ...columnsOf(row),
    of_lane: lane,
    left: index === 0 ? left : null,
  }));
  return rows.length > 0 ? rows : [{ ...head, id: null, left }];
}

function planOf(values: readonly unknown[]): Plan {
  const [from, rows, bytes, perLane, known, lanes, queued, room, largest, most, preferred, made] = values as [
    Buffer,
    number,
    number,
    number,
    string[],
    string[],
    number[],
    number[],
    number,
    number,
    string[],
    string[],
  ];
  const shares = new Map(
    lanes.map((lane, index) => [lane, { queued: queued[index] ?? 0, room: room[index] ?? perLane }]),
  );
  return {
    from: from.toString(),
    rows,
    bytes,
    perLane,
    known: new Set(known.map((id, index) => `${id} ${made[index]}`)),
    shares,
    largest,
    lanes: most,
    preferred: new Set(preferred),
  };
}

function lanesOf(
  waiting: readonly Row[],
  { from, rows, perLane, known, shares, preferred: authorities }: Plan,
  mostLanes: number,
): { readonly lanes: readonly LaneRows[]; readonly next: string | null } {
  const now = virtualNow();
  const fresh = new Set(
    waiting.filter((row) => row.nextAttemptAt === null && row.lane >= from).map(({ lane }) => lane),
  );
  const freshRead = [...fresh].toSorted().slice(0, mostLanes);
  const next = freshRead.length === mostLanes ? (freshRead.at(-1) ?? null) : null;
  const dueRows = waiting.filter((row) => row.nextAttemptAt !== null && row.nextAttemptAt <= now);
  const isNamed = mostLanes === 0;
  const due = new Set(isNamed ? shares.keys() : dueRows.map(({ lane }) => lane));
  const preferred = [...shares].filter(([, { room, queued }]) => room > 0 && queued < 0).map(([lane]) => lane);
  const isFresh = new Set(isNamed ? shares.keys() : [...freshRead, ...preferred]);
  const read = [...new Set([...isFresh, ...due])];
  const found = new Set([...freshRead, ...due]);
  const roomOf = (lane: string): number => shares.get(lane)?.room ?? perLane;
  const sharing = read.filter((lane) => found.has(lane) && roomOf(lane) > 0).length;
  const queuedOf = (lane: string): number => {
    const queued = shares.get(lane)?.queued ?? 0;
    const [authority = ""] = lane.split(" ", 1);
    return queued >= 0 && authorities.has(authority) ? queued - PREFERRED : queued;
  };
  const most = Math.max(LEAST_READ, Math.floor((2 * rows) / Math.max(1, sharing)));
  const rowsOf = Map.groupBy(waiting, ({ lane }) => lane);
  const lanes = read.map((lane): LaneRows => {
    const room = Math.min(roomOf(lane), most);
    const readable =
      room === 0 ? [] : (rowsOf.get(lane) ?? []).filter(({ id, created }) => !known.has(`${id} ${created}`));
    const first = readable
      .filter((row) => row.nextAttemptAt !== null && row.nextAttemptAt <= now)
      .toSorted((one, other) => (one.nextAttemptAt ?? 0) - (other.nextAttemptAt ?? 0) || Number(one.id - other.id))
      .slice(0, room + 1);
    const second = isFresh.has(lane)
      ? readable
          .filter((row) => row.nextAttemptAt === null)
          .toSorted((one, other) => Number(one.id - other.id))
          .slice(0, room + 1)
      : [];
    return { lane, queued: queuedOf(lane), room, placed: merge(first, second) };
  });
  return { lanes, next };
}

/** The first of each in turn. */
function merge(first: readonly Row[], second: readonly Row[]): readonly Row[] {
  const rows: Row[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    for (const row of [first[index], second[index]]) if (row !== undefined) rows.push(row);
  }
  return rows;
}

function sizeOf({ url, shape }: Row): number {
  return url.length + shape.bodyBytes;
}

function timeText(at: number | null): string | null {
  return at === null ? null : `at ${at}`;
}

/** Of every row. */
export const INSTALLATION_MARK = 7;

/** The columns of a row, as the driver gives them. */
export function columnsOf(row: Row): Readonly<Record<string, unknown>> {
  const { shape } = row;
  return {
    id: String(row.id),
    method: "POST",
    url: row.url,
    headers: null,
    body: row.shape.bodyBytes === 0 ? null : filled(shape.bodyBytes),
    timeout_milliseconds: shape.timeoutMs,
    created: row.created,
    attempts: row.attempts,
    next_attempt_at: timeText(row.nextAttemptAt),
    options: optionsOf(row),
    installation_mark: INSTALLATION_MARK,
    unread: null,
  };
}

function optionsOf({ shape }: Row): string {
  return `{"max_attempts": ${shape.maxAttempts}, "retry_first_ms": 100, "retry_max_ms": 1000}`;
}
