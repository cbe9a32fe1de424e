import { freeBuffer } from "../base/free-buffer.ts";

/** A piece is kept as it came where the memory behind it is no more than this, in bytes, or than twice the piece. */
const LITTLE = 4_096;
const LARGEST_BLOCK = 1_048_576;
const EMPTY = Buffer.alloc(0);

/**
 * Content as it comes. P5: pieces are slices of what a socket read, and keep all of it in memory; so they are copied together,
 * and what is held is little more than their length.
 */
export class ContentBuffer {
  /** The only piece so far. */
  #only: Buffer | null = null;
  #blocks: Buffer[] | null = null;
  /** Bytes used of the last block. */
  #used = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds a piece; `expected` is the length of the whole where that is known. */
  add(piece: Buffer, expected: number | null): void {
    if (this.#length === 0) this.#only = compact(piece);
    else {
      if (this.#only !== null) this.#copy(this.#only, expected);
      this.#only = null;
      this.#copy(piece, expected);
    }
    this.#length += piece.length;
  }

  /** The whole, in one piece. Nothing is left in here. */
  take(): Buffer {
    const whole = this.#only ?? this.#join();
    this.#only = null;
    this.#length = 0;
    return whole;
  }

  #copy(piece: Buffer, expected: number | null): void {
    for (let from = 0; from < piece.length;) {
      const block = this.#blockFor(piece.length - from, expected);
      const copied = piece.copy(block, this.#used, from);
      this.#used += copied;
      from += copied;
    }
  }

  #blockFor(bytes: number, expected: number | null): Buffer {
    this.#blocks ??= [];
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#used < last.length) return last;
    const left = expected === null ? Math.max(LITTLE, bytes, this.#length) : Math.max(bytes, expected - this.#length);
    const block = Buffer.allocUnsafeSlow(Math.min(left, LARGEST_BLOCK));
    this.#blocks.push(block);
    this.#used = 0;
    return block;
  }

  #join(): Buffer {
    const [first = EMPTY, ...others] = this.#blocks ?? [];
    this.#blocks = null;
    if (others.length === 0 && first.length - this.#length <= LITTLE) return first.subarray(0, this.#length);
    const whole = Buffer.allocUnsafeSlow(this.#length);
    let at = 0;
    for (const block of [first, ...others]) {
      at += block.copy(whole, at, 0, Math.min(block.length, this.#length - at));
      freeBuffer(block);
    }
    return whole;
  }
}

/** The piece, or a copy where it keeps much more than itself in memory. */
function compact(piece: Buffer): Buffer {
  const behind = piece.buffer.byteLength;
  if (behind <= LITTLE || behind <= 2 * piece.length) return piece;
  const copy = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(copy);
  return copy;
}
