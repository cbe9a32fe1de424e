import { lsn, type Lsn, ZERO_LSN } from "../pg/lsn.ts";

/**
 * How far the stream was received. A position is confirmed as received (P4): the outbox is the truth, and what the
 * stream brought is read from it again after a crash.
 */
export class Positions {
  #received: Lsn = ZERO_LSN;
  #inTransaction = false;

  /** End of the last whole transaction, or of the WAL where the server said so with no transaction half received. */
  get received(): Lsn {
    return this.#received;
  }

  /** The slot's own confirmed position, where streaming starts. */
  start(confirmed: Lsn): void {
    this.#advance(confirmed);
  }

  begin(): void {
    this.#inTransaction = true;
  }

  commit(endLsn: Lsn): void {
    this.#inTransaction = false;
    this.#advance(endLsn);
  }

  /** P8: with no transaction half received a keepalive's WAL end counts as received, else unrelated writes pile up behind the slot. */
  keepalive(walEnd: Lsn): void {
    if (!this.#inTransaction) this.#advance(walEnd);
  }

  #advance(position: Lsn): void {
    if (position > this.#received) this.#received = position;
  }
}

/**
 * What `LogicalReplicationService.acknowledge` is given so that exactly `position` is confirmed: it adds one byte, and
 * the server skips commits that begin before the confirmed position, while one may begin exactly there.
 */
export function acknowledgement(position: Lsn): Lsn {
  return position === ZERO_LSN ? ZERO_LSN : lsn(position - 1n);
}
