import Denque from "denque";
import TinyQueue from "tinyqueue";

/** What the members of one list, or of several between which they move, have used at least when they are listed. */
export interface VirtualTime {
  used: number;
}

/** One that takes turns with others; its owner keeps it for as long as it may have anything to start. */
export class Turn<Member> {
  readonly member: Member;
  /** What it was charged so far, in virtual time; of a new one less than anybody. */
  used = Number.NEGATIVE_INFINITY;
  /** What it used beyond what it was charged; charged when it is listed next, or when its turn comes. */
  owed = 0;
  /** Its place in a list; null without one. */
  listing: Listing<Member> | null = null;

  constructor(member: Member) {
    this.member = member;
  }
}

interface Listing<Member> {
  readonly turn: Turn<Member>;
  readonly list: Turns<Member>;
  readonly used: number;
  /** Grows from one to the next. */
  readonly number: number;
  /** It is new, or comes back. */
  readonly isFresh: boolean;
}

/** Whose turn it is after so many turns of fresh members in a row. */
const ORDER = ["longest listed", "newest", "newest", "others"] as const;

/**
 * A list of members in the order of what they have used, least first (start-time fair queueing). A member that comes back
 * after a pause has saved up nothing.
 *
 * Those that are new or come back are *fresh* until their turn, and go before the others. They have three turns of four at
 * most: however many come, the others go on. The newest of them and the one that is listed longest are served in turn: neither waits
 * behind however many came at once.
 */
export class Turns<Member> {
  readonly #time: VirtualTime;
  #others = othersOf<Member>();
  /** In the order in which they were listed. */
  readonly #fresh = new Denque<Listing<Member>>();
  #freshInARow = 0;
  #listed = 0;

  constructor(time: VirtualTime = { used: 0 }) {
    this.#time = time;
  }

  /** Lists a member that has something to start at its place, here alone; nothing where it is listed here. */
  list(turn: Turn<Member>): void {
    if (turn.listing?.list === this) return;
    const used = turn.used + turn.owed;
    const isFresh = used < this.#time.used;
    turn.used = Math.max(this.#time.used, used);
    turn.owed = 0;
    turn.listing = { turn, list: this, used: turn.used, number: this.#listed++, isFresh };
    if (isFresh) this.#fresh.push(turn.listing);
    else this.#others.push(turn.listing);
  }

  /** The member whose turn it is; null without any. */
  peek(): Turn<Member> | null {
    return this.#first?.turn ?? null;
  }

  /** Takes out the member whose turn it is; null without any. */
  take(): Turn<Member> | null {
    const first = this.#first;
    if (first === null) return null;
    const { turn, isFresh } = first;
    // The listing stays behind, and is passed over when it comes first.
    turn.listing = null;
    this.#freshInARow = isFresh ? (this.#freshInARow + 1) % ORDER.length : 0;
    turn.used = Math.max(this.#time.used, turn.used);
    this.#time.used = turn.used;
    return turn;
  }

  /** Takes everybody out. */
  clear(): void {
    for (const listing of [...this.#others.data, ...this.#fresh.toArray()]) {
      if (!isLeft(listing)) listing.turn.listing = null;
    }
    this.#others = othersOf();
    this.#fresh.clear();
  }

  get #first(): Listing<Member> | null {
    const whose = ORDER[this.#freshInARow];
    // Looked for first: one that owes may become fresh by it.
    const leastUsed = this.#leastUsed;
    const fresh = whose === "newest" ? this.#newest : this.#longestListed;
    return whose === "others" ? (leastUsed ?? fresh) : (fresh ?? leastUsed);
  }

  get #leastUsed(): Listing<Member> | null {
    for (let first = this.#others.peek(); first !== undefined; first = this.#others.peek()) {
      const { turn } = first;
      const isListed = turn.listing === first;
      if (isListed && turn.owed <= 0) return first;
      this.#others.pop();
      if (!isListed) continue;
      turn.listing = null;
      this.list(turn);
    }
    return null;
  }

  get #longestListed(): Listing<Member> | null {
    while (isLeft(this.#fresh.peekFront())) this.#fresh.shift();
    return this.#fresh.peekFront() ?? null;
  }

  get #newest(): Listing<Member> | null {
    while (isLeft(this.#fresh.peekBack())) this.#fresh.pop();
    return this.#fresh.peekBack() ?? null;
  }
}

function othersOf<Member>(): TinyQueue<Listing<Member>> {
  return new TinyQueue<Listing<Member>>([], (one, other) => one.used - other.used || one.number - other.number);
}

/** True where the member was taken, or is listed elsewhere by now. */
function isLeft<Member>(listing: Listing<Member> | undefined): boolean {
  return listing !== undefined && listing.turn.listing !== listing;
}
