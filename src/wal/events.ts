import type { Lsn } from "../pg/lsn.ts";
import type { NeededPublication } from "../pg/own-publications.ts";
import type { Xid } from "../pg/xid.ts";

/** A committed transaction as the stream announces it, before its rows. */
export interface Begin {
  /** Top-level transaction, also for rows of its subtransactions and for `commit prepared`. */
  readonly xid: Xid;
  /** Where its commit record begins. */
  readonly commitLsn: Lsn;
  /** When it was committed, by the server's clock, in milliseconds since 1970; absent where the plugin does not say it. */
  readonly committedAt?: number | undefined;
}

/** What a decoder finds in the stream, in the order of commits. Called synchronously, row by row: nothing is queued. */
export interface WalSink {
  begin(transaction: Begin): void;
  /** What follows of `table` is of the table with this oid; not every plugin says it. */
  relation(table: string, oid: number): void;
  /** One inserted row; `table` is `schema.name`, `row` has one property for each column, read as in `pg/value-parsers.ts`. */
  insert(table: string, row: Readonly<Record<string, unknown>>): void;
  /** A row was changed or deleted: `table` is `schema.name`. */
  change(table: string): void;
  /** All rows of a table were removed at once. */
  truncate(table: string): void;
  /** A logical message with pgnetd's prefix, written at `position`. */
  message(content: string, position: Lsn): void;
  /** The transaction is complete. `endLsn` is the first byte after its commit record. */
  commit(endLsn: Lsn): void;
}

/** Decodes the payload of one XLogData message; those of a session in order. Throws where it is not of the plugin's format. */
export type Decode = (payload: Buffer, sink: WalSink) => void;

/** Reads one output plugin's messages. */
export interface Decoder {
  /** Name of the output plugin, as `pg_replication_slots.plugin` has it. */
  readonly plugin: string;
  /** Begins the reading of one session. */
  open(): Decode;
  /** Publications without which the plugin brings nothing; empty for a plugin that knows none. */
  readonly publications: readonly NeededPublication[];
  /** Encodings of databases from which the plugin's output can be read; null where all can: the server converts it. */
  readonly encodings: readonly string[] | null;
  /** The options of `START_REPLICATION`, each `name 'value'`. */
  readonly startOptions: readonly string[];
}

/** The prefix of pgnetd's logical messages (`pg_logical_emit_message`); those of others are skipped. */
export const MESSAGE_PREFIX = "pgnetd";
