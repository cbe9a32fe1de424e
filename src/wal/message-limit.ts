/** Type and length, the length counting itself: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const HEADER_BYTES = 5;

/**
 * P5: larger messages of the stream, in bytes, are not read. Bytes of a row come as hex, two digits each: the largest
 * request that is sent fits, see `LARGEST_BYTES` in outbox/row.ts.
 */
export const LARGEST_MESSAGE_BYTES = 136 * 1024 * 1024;

/** Logical messages that are larger, in bytes, are left out: pgnetd's own are short. `pg` reads smaller ones with what is beside them. */
const SMALL_BYTES = 64 * 1024;

/** CopyData with XLogData: https://www.postgresql.org/docs/current/protocol-replication.html */
const COPY_DATA = "d".charCodeAt(0);
const XLOG_DATA = "w".charCodeAt(0);
const XLOG_HEADER_BYTES = 25;

/** How a logical message begins, of pgoutput and of wal2json: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
const LOGICAL_MESSAGES = [Buffer.from("M"), Buffer.from('{"action":"M"')];
const XLOG_AT = HEADER_BYTES;
const MESSAGE_AT = XLOG_AT + XLOG_HEADER_BYTES;
const BEGINNING_BYTES = MESSAGE_AT + Math.max(...LOGICAL_MESSAGES.map(({ length }) => length));

const NOTHING = Buffer.alloc(0);

/**
 * P5: watches the bytes of a connection for messages that are not to be gathered in memory: large ones of `pg_logical_emit_message`,
 * which any role may write with any prefix, are left out, and of others than those a larger one than `mostBytes` is an end.
 */
export class MessageLimit {
  readonly #mostBytes: number;
  /** Of a message that begins: not enough yet to know what it is. */
  #held: Buffer = NOTHING;
  /** What is still to come of the message that began last. */
  #leftBytes = 0;
  #isLeftOut = false;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** Calls `read` with what is to be read of `chunk`. Returns the size in bytes of the first message that is too large; null without one. */
  read(chunk: Buffer, read: (bytes: Buffer) => void): number | null {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    /** From here to `at` are bytes to be read. */
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#leftBytes > 0) {
        const passed = Math.min(this.#leftBytes, bytes.length - at);
        this.#leftBytes -= passed;
        at += passed;
        if (this.#isLeftOut) from = at;
        continue;
      }
      if (bytes.length - at < HEADER_BYTES) break;
      const size = bytes.readUInt32BE(at + 1) - 4;
      if (size > SMALL_BYTES && bytes.length - at < BEGINNING_BYTES) break;
      this.#isLeftOut = size > SMALL_BYTES && isLogicalMessage(bytes, at);
      if (size > this.#mostBytes && !this.#isLeftOut) return size;
      if (this.#isLeftOut && from < at) read(bytes.subarray(from, at));
      this.#leftBytes = HEADER_BYTES + size;
    }
    if (from < at) read(from === 0 && at === bytes.length ? bytes : bytes.subarray(from, at));
    if (at < bytes.length) this.#held = Buffer.from(bytes.subarray(at));
    return null;
  }
}

/** True for a logical message of which at least the beginning is at `at`. */
function isLogicalMessage(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== COPY_DATA || bytes[at + XLOG_AT] !== XLOG_DATA) return false;
  const messageAt = at + MESSAGE_AT;
  return LOGICAL_MESSAGES.some((beginning) => beginning.compare(bytes, messageAt, messageAt + beginning.length) === 0);
}
