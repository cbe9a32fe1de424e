import { type Lsn, ZERO_LSN } from "../pg/lsn.ts";
import type { ServerIdentity } from "../replication/session-options.ts";
import type { Begin } from "../wal/events.ts";

/**
 * The history of the server that positions and transaction ids belong to. It is over with a failover or a restore: another cluster or another
 * timeline; or a log that ends before what was received of it, where somebody has put an earlier copy of the server's files in their place.
 */
export class History {
  /** The server of the last session; null before the first. */
  #server: ServerIdentity | null = null;
  /** The furthest commit whose receipt began: it was safe on the server's disk by then. */
  #begun: Lsn = ZERO_LSN;

  begin({ commitLsn }: Begin): void {
    if (commitLsn > this.#begun) this.#begun = commitLsn;
  }

  /** True where `server` goes on with the history of before, or is the first one. */
  continuesAt(server: ServerIdentity): boolean {
    const known = this.#server;
    this.#server = server;
    const { systemId, timeline } = known ?? server;
    if (systemId === server.systemId && timeline === server.timeline && server.end >= this.#begun) return true;
    this.#begun = ZERO_LSN;
    return false;
  }
}
