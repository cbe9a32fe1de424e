import { type AnswerBounds, answerParts } from "./answer-memory.ts";

/** Of what is free, a destination may hold as much as this: however many do, the next one finds room. */
const SHARE = 1 / 4;
/** And of answers that cannot be written for their rows' sake as much as this: they may stay for long, and of many destinations. */
const BLOCKED_SHARE = 1 / 256;
/** Of what is shared, as much as this stays free for answers within their destination's share. */
const KEPT_FREE = 1 / 4;

/** What the answers of one destination hold, in bytes. */
export interface Account {
  used: number;
  /** Of `used`, what belongs to answers that are whole. */
  whole: number;
  /** Of `whole`, what belongs to answers that cannot be written for now. */
  blocked: number;
  /** The answer that is received beyond the destination's share; null without one. */
  ahead: Holding | null;
}

/** What one answer holds. */
export interface Holding {
  readonly account: Account;
  charged: number;
  /** Received and decoded: it only waits to be written. */
  isWhole: boolean;
  isBlocked: boolean;
}

/**
 * P5, P6: who may hold how much of the memory for answers.
 *
 * Every request in flight has a small part of its own, so a small answer waits for nobody. Beyond it an answer grows
 * - within its destination's share, a quarter of what is free; or
 * - beyond that, as the only one of its destination, where what waits there to be written is within the share, and as long
 *   as a part of everything stays free; or
 * - into a reserve as large as the largest answer, which one answer at a time has.
 *
 * So of answers that wait half received, one can always be received to its end, then the next. A second such reserve is for
 * the one answer at a time whose content is decoded beyond what its destination may take at once.
 */
export class AnswerShares {
  /** What each request in flight may receive without asking. */
  readonly small: number;
  readonly #shared: number;
  readonly #fixed: number;
  readonly #keptFree: number;
  /** Charged to all answers but those in the reserves. */
  #used = 0;
  /** Who has the reserve for receiving, and that for decoding. */
  #beyond: Holding | null = null;
  #decoding: Holding | null = null;

  constructor(bounds: AnswerBounds) {
    const { small, shared, fixed } = answerParts(bounds);
    this.small = small;
    this.#fixed = fixed;
    this.#shared = shared;
    this.#keptFree = shared * KEPT_FREE;
  }

  get #free(): number {
    return this.#shared - this.#used;
  }

  /** True where a further answer of this destination may begin; of one without answers where anything is free. */
  hasRoom(account: Account | undefined): boolean {
    if (account === undefined) return this.#free > 0;
    return account.used < SHARE * this.#free && account.blocked <= BLOCKED_SHARE * this.#free;
  }

  /** Lets an answer that is received hold `to` bytes; false where there is no room. */
  grow(holding: Holding, to: number): boolean {
    const { account } = holding;
    const more = to - holding.charged;
    if (holding !== this.#beyond && account.used + more > SHARE * (this.#free - more)) {
      if (!this.#maySurpass(holding)) return false;
      if (more > this.#free - this.#keptFree) {
        if (this.#beyond !== null) return false;
        this.#beyond = holding;
        this.#used -= holding.charged;
      }
      account.ahead = holding;
    }
    this.#charge(holding, to);
    return true;
  }

  #maySurpass(holding: Holding): boolean {
    const { account } = holding;
    return (account.ahead === null || account.ahead === holding) && this.#isWithinShare(account);
  }

  /** What waits there to be written is no more than the share: it does not pile up. */
  #isWithinShare({ whole }: Account): boolean {
    return whole === 0 || whole <= SHARE * this.#free;
  }

  /** Bytes that content may be decoded to at once, at most `most`; they are charged until `decode`, `finish` or `giveUp`. */
  spare(holding: Holding, most: number): number {
    const left = Math.floor((SHARE * this.#free - holding.account.used) / (1 + SHARE));
    const bytes = Math.max(this.small, Math.min(most, left));
    if (bytes > this.small) this.#charge(holding, holding.charged + bytes);
    return bytes;
  }

  /** Lets an answer of `received` bytes be decoded to the largest size; false where it has to wait for its turn. */
  decode(holding: Holding, received: number): boolean {
    this.#charge(holding, received);
    if (this.#decoding !== null || !this.#isWithinShare(holding.account)) return false;
    this.#decoding = holding;
    return true;
  }

  /** The answer is whole and takes this many bytes. */
  finish(holding: Holding, bytes: number): void {
    if (!holding.isWhole) {
      this.#endReceiving(holding);
      if (holding === this.#decoding) {
        // It has one reserve, the other is free for the next.
        if (holding === this.#beyond) this.#decoding = null;
        else this.#used -= holding.charged;
      }
      holding.isWhole = true;
      holding.account.whole += holding.charged;
    }
    this.#charge(holding, bytes + this.#fixed);
  }

  /** The whole answer cannot be written for now. */
  block(holding: Holding): void {
    if (holding.isBlocked) return;
    holding.isBlocked = true;
    holding.account.blocked += holding.charged;
  }

  /** The answer holds nothing any more. */
  giveUp(holding: Holding): void {
    this.#endReceiving(holding);
    this.#charge(holding, 0);
    if (holding === this.#beyond) this.#beyond = null;
    if (holding === this.#decoding) this.#decoding = null;
  }

  /** Whole answers leave the reserves when there is room for them beside. */
  settle(): void {
    for (const holding of [this.#beyond, this.#decoding]) {
      if (holding?.isWhole !== true || holding.charged > this.#free - this.#keptFree) continue;
      if (holding === this.#beyond) this.#beyond = null;
      if (holding === this.#decoding) this.#decoding = null;
      this.#used += holding.charged;
    }
  }

  #endReceiving(holding: Holding): void {
    if (holding.account.ahead === holding) holding.account.ahead = null;
  }

  #charge(holding: Holding, bytes: number): void {
    const more = bytes - holding.charged;
    holding.charged = bytes;
    holding.account.used += more;
    if (holding.isWhole) holding.account.whole += more;
    if (holding.isBlocked) holding.account.blocked += more;
    if (!this.#isReserved(holding)) this.#used += more;
  }

  /** What is decoded leaves what was received of it where it was. */
  #isReserved(holding: Holding): boolean {
    return holding === this.#beyond || (holding === this.#decoding && holding.isWhole);
  }
}
