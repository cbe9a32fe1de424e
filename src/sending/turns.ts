import TinyQueue from "tinyqueue";

/** What the members of one list, or of several between which they move, have used at least when they are listed. */
export interface VirtualTime {
  used: number;
}

/** One that takes turns with others; its owner keeps it for as long as it may have anything to start. */
export class Turn<Member> {
  readonly member: Member;
  /** What it was charged so far, in virtual time. */
  used = 0;
  /** What it used beyond what it was charged; charged when its turn comes. */
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
}

/**
 * A list of members in the order of what they have used, least first (start-time fair queueing). A member that comes back
 * after a pause is served soon, but has saved up nothing.
 */
export class Turns<Member> {
  readonly #time: VirtualTime;
  readonly #queue = new TinyQueue<Listing<Member>>([], (one, other) => one.used - other.used);

  constructor(time: VirtualTime = { used: 0 }) {
    this.#time = time;
  }

  /** Lists a member that has something to start at its place, here alone; nothing where it is listed here. */
  list(turn: Turn<Member>): void {
    if (turn.listing?.list === this) return;
    turn.used = Math.max(this.#time.used, turn.used + turn.owed);
    turn.owed = 0;
    turn.listing = { turn, list: this, used: turn.used };
    this.#queue.push(turn.listing);
  }

  /** The member whose turn it is; null without any. */
  peek(): Turn<Member> | null {
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      const { turn } = first;
      const isListed = turn.listing === first;
      if (isListed && turn.owed <= 0) return turn;
      this.#queue.pop();
      if (!isListed) continue;
      turn.listing = null;
      this.list(turn);
    }
    return null;
  }

  /** Takes out the member whose turn it is; null without any. */
  take(): Turn<Member> | null {
    const turn = this.peek();
    if (turn === null) return null;
    this.#queue.pop();
    turn.listing = null;
    this.#time.used = Math.max(this.#time.used, turn.used);
    return turn;
  }
}
