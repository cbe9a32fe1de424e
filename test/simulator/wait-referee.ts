import type { Limits, RequestRecord } from "./referee.ts";
import type { Row } from "./server/database.ts";
import type { Server } from "./server/server.ts";
import { virtualNow } from "./virtual-time.ts";

/** After a disturbance requests may wait for so much longer, in milliseconds: sessions are tried again after up to ten seconds. */
const RECOVERY_MS = 12_000;
/** A request that nothing of its own holds back starts within this time, however many hosts hang, in milliseconds. */
const LONGEST_MS = 20_000;
/** And where nobody hangs and no limit is in the way. */
const SHORT_MS = 1_500;

/** P6: no request waits for others for long. */
export class WaitReferee {
  readonly #server: Server;
  readonly #limits: Limits;
  readonly #harm: (what: string) => void;
  #quietFrom = 0;

  constructor(server: Server, limits: Limits, harm: (what: string) => void) {
    this.#server = server;
    this.#limits = limits;
    this.#harm = harm;
  }

  /** Until `until` and for a while after it requests may wait. */
  disturbed(until: number): void {
    this.#quietFrom = Math.max(this.#quietFrom, until + RECOVERY_MS);
  }

  /** A request of `record` starts for the first time. */
  sent({ row }: RequestRecord, records: Iterable<RequestRecord>): void {
    const now = virtualNow();
    const dueAt = row.shape.delayMs === null ? 0 : (row.nextAttemptAt ?? 0);
    const readyAt = Math.max(row.visibleAt, dueAt, this.#quietFrom);
    const waitedMs = now - readyAt;
    if (waitedMs <= SHORT_MS || row.visibleAt === 0) return;
    if (waitedMs <= this.#boundMs(row) || this.#isHeldBack(row, readyAt, records)) return;
    this.#harm(`P6: request ${row.id} has waited for ${Math.round(waitedMs)} ms`);
  }

  #boundMs(row: Row): number {
    const { perSecond, concurrency } = this.#limits;
    const { statementMs, decodeMs, standbyMs } = this.#server.profile;
    const isNarrow = perSecond === 5 || concurrency < 8 || this.#server.hangs() || row.shape.delayMs !== null;
    return isNarrow ? LONGEST_MS : SHORT_MS + 6 * statementMs + 2 * decodeMs + 2 * standbyMs;
  }

  /** True where others of its host were to be sent before it, or its host has limits of its own. */
  #isHeldBack(row: Row, readyAt: number, records: Iterable<RequestRecord>): boolean {
    if (this.#server.hosts.has(row.shape.host)) return true;
    for (const { row: other } of records) {
      if (other === row || other.shape.host !== row.shape.host) continue;
      if (other.by.commitLsn > 0n && (other.end === null || other.endedAt > readyAt)) return true;
    }
    return false;
  }
}
