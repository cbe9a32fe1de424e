import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { LockHolder } from "../leader/holder.ts";
import type { Precedence } from "../leader/precedence.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { Queryable } from "../pg/pool.ts";
import type { SlotOptions } from "../slot/slot.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";
import type { LockKey } from "../wal/advisory-lock.ts";
import type { Decoder, WalSink } from "../wal/events.ts";
import type { Silence } from "../wal/wire.ts";
import type { LivenessTimeout } from "./liveness-timeout.ts";

/** Which history of which cluster the positions belong to: after a failover or a restore they are others. */
export interface ServerIdentity {
  readonly systemId: string;
  readonly timeline: number;
  /** How far its log went when the session began: all that came of it before is within. */
  readonly end: Lsn;
}

/** What a session reports besides what the stream brings. */
export interface SessionListener extends Omit<WalSink, "message" | "relation"> {
  /** A control message written since the session began: one from before has been followed by a start already. */
  message(content: string): void;
  /** Another session holds the leader's lock of this server; this one waits for it. */
  standby(holder: LockHolder | null, server: ServerIdentity): void;
  /** The lock is held: this daemon leads until the session ends. There may be no stream yet. */
  leading(server: ServerIdentity): void;
  /** From here on every commit reaches the sink. */
  streaming(): void;
  /** Everything before `position` was received; reported whenever it is confirmed to the server. */
  received(position: Lsn): void;
  /**
   * The session, and so the lock, was alive after `at` of the clock. What is read now may have been written long ago, so
   * that is the time when the server was asked, not when its answer was read.
   */
  heard(at: number): void;
  /** The server was asked for a sign of life. While it works on a large transaction it does not answer, and may send nothing. */
  asked(): void;
  /** The server answered, having sent what there was to send up to `position`. */
  answered(position: Lsn): void;
}

/** The slot as configured: without a name it is `pgnetd_` and the database's. */
export type SessionSlot = Omit<SlotOptions, "name"> & { readonly name: string | null };

/** What one replication session needs. */
export interface SessionOptions extends Silence {
  readonly connection: pg.ClientConfig;
  /** The outbox that the rows are to be of: those of another table of that name end the session. */
  readonly outbox?: { readonly table: string; readonly oid: number } | undefined;
  /** For the check of the publications. */
  readonly db: Queryable;
  readonly slot: SessionSlot;
  /** True where the stream of this very slot cannot be read: it is dropped and recreated. */
  readonly renewSlot: boolean;
  /** Null where the session is to lead by itself; else another one of this daemon leads: this ends it and resolves when it has ended. */
  readonly handover: (() => Promise<void>) | null;
  readonly livenessTimeout: LivenessTimeout;
  /** Given the server's clock, in milliseconds since 1970, as it was when the server wrote what is read now. */
  readonly serverTime?: ((ms: number) => void) | undefined;
  /** Called when the stream flows. */
  readonly begun: () => void;
  /** What keeps the stream from flowing for now. */
  readonly outage: (outage: StreamOutage) => void;
  readonly lock: LockKey;
  readonly precedence: Precedence;
  readonly decoder: Decoder;
  /** P5: a stream with a larger message, in bytes, is not read: its slot is recreated. `LARGEST_MESSAGE_BYTES` unless set. */
  readonly largestMessageBytes?: number;
  /** See `PublicationWatch.everyMs`. */
  readonly publicationsEveryMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}
