/** Type and length, the length counting itself: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const HEADER_BYTES = 5;

/**
 * P5: larger messages of the stream, in bytes, are not read. Bytes of a row come as hex, two digits each: the largest
 * request that is sent fits, see `LARGEST_BYTES` in outbox/row.ts.
 */
export const LARGEST_MESSAGE_BYTES = 136 * 1024 * 1024;

/** Watches the bytes of a connection for a message that is larger than it should be, before it is gathered in memory. */
export class MessageLimit {
  readonly #mostBytes: number;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** What is still to come of the message whose header was seen last. */
  #leftBytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** The size in bytes of the first message that begins in `chunk` and is too large; null without one. */
  exceededBy(chunk: Buffer): number | null {
    let at = 0;
    while (at < chunk.length) {
      if (this.#leftBytes > 0) {
        const skipped = Math.min(this.#leftBytes, chunk.length - at);
        this.#leftBytes -= skipped;
        at += skipped;
        continue;
      }
      const copied = chunk.copy(this.#header, this.#headerBytes, at, at + HEADER_BYTES - this.#headerBytes);
      this.#headerBytes += copied;
      at += copied;
      if (this.#headerBytes < HEADER_BYTES) break;
      this.#headerBytes = 0;
      this.#leftBytes = this.#header.readUInt32BE(1) - 4;
      if (this.#leftBytes > this.#mostBytes) return this.#leftBytes;
    }
    return null;
  }
}
