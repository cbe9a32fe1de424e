import { lsn, type Lsn, ZERO_LSN } from "../pg/lsn.ts";

/** So many bytes less are confirmed than were received, see `Confirmations`. */
export const RESERVE_BYTES = 1_024n;

/**
 * And so many while nothing is written: within the last record, which has 24 bytes or more. For the server, which compares with the beginnings
 * of records, everything is confirmed then: no commit comes again, and no WAL is kept for one.
 */
export const QUIET_RESERVE_BYTES = 23n;

/** So many confirmations are remembered: the oldest prove the least. */
const MOST_REMEMBERED = 1_000;

/** What a status update is to confirm: the position that is due, in a busy log or a quiet one; another one than was confirmed before; or everything. */
export type Confirmed = "busy" | "quiet" | "another" | "everything";

/** How much less of what was received is confirmed. */
const RESERVED: Readonly<Record<Confirmed, bigint>> = {
  busy: RESERVE_BYTES,
  quiet: QUIET_RESERVE_BYTES,
  another: RESERVE_BYTES,
  everything: 0n,
};

/**
 * P3: what was confirmed to the server, and since when. The slot shows everybody the position that its session has processed last: a position
 * is the receipt for the status that confirmed it first. So that there is another one for the next status also while nothing is written, or
 * while the server is at work on one large transaction, a little less is confirmed than was received.
 */
export class Confirmations {
  #last = ZERO_LSN;
  /** In the order of their positions, and of their times. */
  readonly #sent: { readonly position: Lsn; readonly at: number }[] = [];

  /** What the slot shows when the stream begins is no receipt. */
  start(confirmed: Lsn): void {
    this.#last = confirmed;
    this.#sent.length = 0;
  }

  /** What a status that is sent at `now` confirms of what was `received`. */
  next(received: Lsn, what: Confirmed, now: number): Lsn {
    const due = lsn(received - RESERVED[what]);
    const least = what === "another" ? lsn(this.#last + 1n) : this.#last;
    const position = due > least ? due : least;
    if (position <= this.#last || position > received) return this.#last;
    this.#last = position;
    this.#sent.push({ position, at: now });
    if (this.#sent.length > MOST_REMEMBERED) this.#sent.shift();
    return position;
  }

  /** False where everything that was `received` is confirmed: another position is had when more is written. */
  hasAnother(received: Lsn): boolean {
    return this.#last < received;
  }

  /** A moment of the clock after which the server has processed a status, if it has processed `confirmed`; null where that says nothing. */
  sentAt(confirmed: Lsn): number | null {
    if (confirmed > this.#last) return null;
    return this.#sent.findLast(({ position }) => position <= confirmed)?.at ?? null;
  }
}
