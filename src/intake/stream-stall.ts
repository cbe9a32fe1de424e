import { type Lsn, lsn } from "../pg/lsn.ts";

/** A transaction that is received for longer than this is large, in milliseconds. */
const LARGE_MS = 20;

/** A server that does not answer within this is at work on a large transaction, of which it may send nothing. Milliseconds. */
const ANSWER_MS = 100;

/** So many bytes before the end of the log a server has caught up: the end may be behind the header of a page without records. */
const PAGE_BYTES = 8_192n;

/**
 * P6: notices that the stream brings nobody's rows for the time being, since the server sends a large transaction or skips it,
 * and afterwards decodes what was written meanwhile. Times are milliseconds of the clock handed in.
 */
export class StreamStall {
  /** When the receipt of the transaction began that is being received; null between two. */
  #begunAt: number | null = null;
  /** When the last transaction was complete. */
  #committedAt = 0;
  /** When the server was asked for the sign of life that it owes; null where it owes none. */
  #askedAt: number | null = null;
  /** The quickest answer so far: a server far away is as late with each. */
  #quickestMs = 0;
  /** When the stall began that was noticed; null without one. */
  #stalledAt: number | null = null;
  /** How far the outbox was swept in this stall, and how far it was when the server was asked: there the stream has caught up. */
  #sweptTo: Lsn | null = null;
  #end: Lsn | null = null;

  /** When the stall began, or begins unless the server answers before; null without one. */
  get since(): number | null {
    if (this.#stalledAt !== null || this.#askedAt === null) return this.#stalledAt;
    return Math.max(this.#askedAt, this.#committedAt) + Math.max(ANSWER_MS, 2 * this.#quickestMs);
  }

  begin(now: number): void {
    this.#begunAt = now;
  }

  /** Bytes of the stream came. Returns true where a stall was noticed. */
  received(now: number): boolean {
    if (this.#begunAt === null || this.#stalledAt !== null || now - this.#begunAt <= LARGE_MS) return false;
    this.#stalledAt = this.#begunAt;
    return true;
  }

  commit(now: number): void {
    // Too short for others' rows to have been written meanwhile in number.
    if (this.#begunAt === this.#stalledAt && now - (this.#begunAt ?? now) <= ANSWER_MS) this.#ended();
    this.#begunAt = null;
    this.#committedAt = now;
  }

  /** The outbox was swept up to `insertLsn` of the log. */
  swept(now: number, insertLsn: Lsn): void {
    const { since } = this;
    if (since === null || since > now) return;
    this.#stalledAt = since;
    this.#sweptTo = insertLsn;
  }

  /** The server was asked for a sign of life. */
  asked(now: number): void {
    if (this.#askedAt !== null) return;
    this.#askedAt = now;
    this.#end = this.#sweptTo;
  }

  /** It answered, having sent what there was to send up to `position`. */
  answered(now: number, position: Lsn): void {
    if (this.#askedAt === null) return;
    const answerMs = now - this.#askedAt;
    this.#quickestMs = this.#quickestMs === 0 ? answerMs : Math.min(this.#quickestMs, answerMs);
    this.#askedAt = null;
    if (this.#end !== null && lsn(position + PAGE_BYTES) >= this.#end) this.#ended();
  }

  #ended(): void {
    this.#stalledAt = null;
    this.#sweptTo = null;
    this.#end = null;
  }
}
