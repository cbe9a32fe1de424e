import { laneOf } from "../../../src/outbox/lane.ts";
import { after, type Process, virtualNow } from "../virtual-time.ts";
import type { Random } from "../random.ts";

/** The first transaction id: near the wrap of the low 32 bits, so that every run crosses it. */
const FIRST_XID = 4_294_967_280n;

/** How far a transaction is. `recorded` can be decoded but is not visible, as a commit that waits for a synchronous standby. */
export type Stage = "open" | "recorded" | "visible" | "aborted";

/** One transaction. */
export interface Transaction {
  readonly xid: bigint;
  stage: Stage;
  /** Rows that it inserted. */
  readonly rows: Row[];
  /** What becomes true with its commit, and what is undone where the commit is lost. */
  readonly effects: { readonly apply: () => void; readonly undo: () => void }[];
  /** What the stream brings beside the rows. */
  readonly streamed: StreamedChange[];
  readonly locks: Row[];
  commitLsn: bigint;
  /** The server is silent for so long while it decodes this, in milliseconds. */
  decodeMs: number;
  /** Not null for a logical message that is part of no transaction. */
  message: { readonly content: string } | null;
}

/** Something beside rows of the outbox that the stream brings. */
export type StreamedChange =
  | { readonly kind: "truncate"; readonly rows: readonly Row[] }
  | { readonly kind: "settings" }
  | { readonly kind: "message"; readonly content: string; readonly lsn: bigint };

/** What a request is like. */
export interface RequestShape {
  readonly host: string;
  readonly lane: string | null;
  /** Tries that fail before one is answered well. */
  readonly failures: number;
  readonly maxAttempts: number;
  /** Delay asked for by the caller, in milliseconds; null without. */
  readonly delayMs: number | null;
  readonly bodyBytes: number;
  readonly timeoutMs: number;
}

/** One row of the outbox. */
export interface Row {
  readonly id: bigint;
  /** No two rows have the same, though a lost row's id may be given again. */
  readonly created: string;
  readonly shape: RequestShape;
  readonly url: string;
  readonly lane: string;
  readonly by: Transaction;
  /** Null is at once. */
  nextAttemptAt: number | null;
  /** Whose retry that time is of; null where it is the caller's. */
  deferredBy: Process | null;
  attempts: number;
  /** How it ended, by a commit that is visible. */
  end: "answered" | "dead" | "cancelled" | null;
  /** When that was, and when the row became visible. */
  endedAt: number;
  visibleAt: number;
  lockedBy: Transaction | null;
  bytes: Buffer | null;
}

/** An entry of the log that can be decoded. */
export interface LogEntry {
  readonly transaction: Transaction;
  readonly commitLsn: bigint;
  readonly endLsn: bigint;
}

/** Transactions, tables and log of the simulated server. */
export class Database {
  readonly #random: Random;
  readonly outbox = new Map<string, Row>();
  /** In the order of commits. */
  log: LogEntry[] = [];
  /** Unfinished transactions that have an id. */
  readonly running = new Set<Transaction>();
  /** All that ended since the last failover or restart, by which a loss of commits is known. */
  insertLsn = 0x1000000n;
  flushedLsn = 0x1000000n;
  timeline = 1;
  nextId = 1n;
  #made = 0;
  nextXid = FIRST_XID;
  #xmax = FIRST_XID;
  /** Called when the log was flushed further. */
  flushed: () => void = () => undefined;
  /** Called with each row that was inserted, by whatever transaction. */
  made: (row: Row) => void = () => undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  begin(): Transaction {
    const transaction: Transaction = {
      xid: this.nextXid++,
      stage: "open",
      rows: [],
      effects: [],
      streamed: [],
      locks: [],
      commitLsn: 0n,
      decodeMs: 0,
      message: null,
    };
    this.running.add(transaction);
    return transaction;
  }

  /** A logical message that is part of no transaction. */
  emit(content: string): void {
    const nothing = { rows: [], effects: [], streamed: [], locks: [], decodeMs: 0 };
    const commitLsn = this.insertLsn;
    const transaction: Transaction = { xid: 0n, stage: "visible", ...nothing, commitLsn, message: { content } };
    this.insertLsn += 100n;
    this.log.push({ transaction, commitLsn, endLsn: this.insertLsn });
    this.flush();
  }

  insert(by: Transaction, shape: RequestShape): Row {
    this.insertLsn += 120n;
    this.#made++;
    const url = `http://${shape.host}/`;
    const row: Row = {
      id: this.nextId++,
      created: `2026-01-01 00:00:00.${String(this.#made).padStart(6, "0")}+00`,
      shape,
      url,
      lane: laneOf(url, shape.lane),
      by,
      nextAttemptAt: shape.delayMs === null ? null : virtualNow() + shape.delayMs,
      deferredBy: null,
      attempts: 0,
      end: null,
      endedAt: 0,
      visibleAt: 0,
      lockedBy: null,
      bytes: null,
    };
    by.rows.push(row);
    this.outbox.set(row.created, row);
    this.made(row);
    return row;
  }

  /** Locks the row for `by`; false where another has it. */
  lock(by: Transaction, row: Row): boolean {
    if (row.lockedBy !== null && row.lockedBy !== by) return false;
    if (row.lockedBy === null) by.locks.push(row);
    row.lockedBy = by;
    return true;
  }

  /** Ends a row with the commit of `by`, which has locked it. */
  end(by: Transaction, row: Row, how: "answered" | "dead" | "cancelled"): void {
    const apply = (): void => {
      row.end = how;
      row.endedAt = virtualNow();
      this.outbox.delete(row.created);
    };
    const undo = (): void => {
      if (row.by.stage === "aborted") return;
      row.end = null;
      this.outbox.set(row.created, row);
    };
    by.effects.push({ apply, undo });
  }

  isVisible(row: Row): boolean {
    return row.by.stage === "visible" && row.end === null;
  }

  /** Writes the commit record. It is flushed at once, or after `flushMs`; where that is so the transaction is visible at once. */
  record(transaction: Transaction, flushMs: number | null): void {
    transaction.stage = "recorded";
    transaction.commitLsn = this.insertLsn;
    this.insertLsn += BigInt(this.#random.int(48, 160));
    this.log.push({ transaction, commitLsn: transaction.commitLsn, endLsn: this.insertLsn });
    if (flushMs === null) this.flush();
    else {
      after(flushMs, null, () => this.flush());
      this.reveal(transaction);
    }
  }

  flush(): void {
    this.flushedLsn = this.insertLsn;
    this.flushed();
  }

  reveal(transaction: Transaction): void {
    if (transaction.stage !== "recorded") return;
    transaction.stage = "visible";
    for (const row of transaction.rows) row.visibleAt = virtualNow();
    for (const { apply } of transaction.effects) apply();
    this.#end(transaction);
  }

  abort(transaction: Transaction): void {
    if (transaction.stage !== "open") return;
    transaction.stage = "aborted";
    for (const row of transaction.rows) this.outbox.delete(row.created);
    this.#end(transaction);
  }

  #end(transaction: Transaction): void {
    this.running.delete(transaction);
    if (transaction.xid >= this.#xmax) this.#xmax = transaction.xid + 1n;
    for (const row of transaction.locks) if (row.lockedBy === transaction) row.lockedBy = null;
  }

  /** As `pg_current_snapshot()`: ids at or above `xmax` are not listed, though they may be in progress. */
  snapshot(): string {
    const inProgress = [...this.running].map(({ xid }) => xid).filter((xid) => xid < this.#xmax);
    const xmin = inProgress.reduce((least, xid) => (xid < least ? xid : least), this.#xmax);
    return `${xmin}:${this.#xmax}:${inProgress.toSorted((one, other) => Number(one - other)).join(",")}`;
  }

  /** Something else is written to the log. */
  writeElsewhere(bytes: number): void {
    this.insertLsn += BigInt(bytes);
    this.flush();
  }

  /**
   * The server stops at once, or another takes its place: open transactions are gone, and so are the last `lost` commits, beside those
   * that were not flushed. What is left is visible.
   */
  loseCommits(lost: number, isFailover: boolean): readonly Transaction[] {
    const flushed = this.log.filter(({ endLsn }) => endLsn <= this.flushedLsn);
    const kept = flushed.slice(0, Math.max(0, flushed.length - lost));
    const gone = this.log.slice(kept.length).map(({ transaction }) => transaction);
    for (const transaction of gone.toReversed().filter(({ message }) => message === null)) {
      const wasVisible = transaction.stage === "visible";
      transaction.stage = "aborted";
      if (wasVisible) for (const { undo } of transaction.effects.toReversed()) undo();
      for (const row of transaction.rows) this.outbox.delete(row.created);
      this.#end(transaction);
    }
    for (const transaction of this.running) {
      if (transaction.stage === "recorded") this.reveal(transaction);
      else this.abort(transaction);
    }
    this.log = kept;
    this.insertLsn = kept.at(-1)?.endLsn ?? 0x1000000n;
    this.flushedLsn = this.insertLsn;
    if (isFailover) this.timeline++;
    this.#reuse(kept);
    return gone;
  }

  /** Ids that were lost are given again. */
  #reuse(kept: readonly LogEntry[]): void {
    const transactions = kept.map(({ transaction }) => transaction).filter(({ message }) => message === null);
    this.nextId = transactions.flatMap(({ rows }) => rows).reduce((next, { id }) => (id >= next ? id + 1n : next), 1n);
    this.nextXid = transactions.reduce((next, { xid }) => (xid >= next ? xid + 1n : next), FIRST_XID);
    this.#xmax = this.nextXid;
  }
}
