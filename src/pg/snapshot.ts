import { type Xid, widenXid } from "./xid.ts";

/**
 * A `pg_snapshot`: which transactions a statement could see. 64-bit ids (`xid8`).
 * See https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT-PARTS
 */
export interface Snapshot {
  /** Every id below has ended. */
  readonly xmin: bigint;
  /** No id from here on had ended. */
  readonly xmax: bigint;
  /** Top-level transactions between the two that had not ended. */
  readonly inProgress: ReadonlySet<bigint>;
}

const TEXT = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/;

/** Reads PostgreSQL's text form, `xmin:xmax:xip,…`. Throws a RangeError on anything else. */
export function parseSnapshot(text: string): Snapshot {
  const parts = TEXT.exec(text);
  if (parts === null) throw new RangeError(`not a pg_snapshot: ${JSON.stringify(text)}`);
  const [, xmin = "", xmax = "", list = ""] = parts;
  return {
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    inProgress: new Set(list === "" ? [] : list.split(",").map(BigInt)),
  };
}

/** P2, P3: true where a statement under `snapshot` sees the rows of `xid`, so that the stream must not send them too. */
export function sees(snapshot: Snapshot, xid: Xid): boolean {
  return hasEnded(snapshot, widenXid(xid, snapshot.xmax));
}

/** The transaction that a streamed row came with. */
export interface Inserter {
  readonly xid: Xid;
  /** Aborted with its history, by a failover or a restore: it is visible on the new server, or lost. */
  readonly history: AbortSignal;
}

/** True where what `inserter` inserted is seen by a statement under `snapshot`, or by none any more. */
export function isDecided(snapshot: Snapshot, { xid, history }: Inserter): boolean {
  return history.aborted || sees(snapshot, xid);
}

/** `sees` for a 64-bit id. */
export function hasEnded(snapshot: Snapshot, id: bigint): boolean {
  if (id < snapshot.xmin) return true;
  if (id >= snapshot.xmax) return false;
  return !snapshot.inProgress.has(id);
}
