import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { LoadedConfig } from "../config/load.ts";
import { LEADER_APPLICATION } from "../leader/holder.ts";
import { Precedence } from "../leader/precedence.ts";
import type { Installation } from "../pg/installation.ts";
import { connectionConfig, type Queryable } from "../pg/pool.ts";
import { LivenessTimeout } from "../replication/liveness-timeout.ts";
import { pollSession } from "../replication/poll-session.ts";
import type { SessionListener } from "../replication/session-options.ts";
import { streamSession } from "../replication/stream-session.ts";
import type { Sessions } from "../replication/supervise.ts";
import { LOCK_CLASS_ID } from "../wal/advisory-lock.ts";
import { openDecoder } from "../wal/decoder.ts";

/** `schema.name` of the outbox. */
export const OUTBOX_TABLE = "net.http_request_queue";

/** What the sessions need. */
export interface SessionsOptions {
  readonly config: LoadedConfig["config"];
  readonly installation: Installation;
  readonly db: Queryable;
  readonly listener: SessionListener & { lost(): void };
  readonly outage: Sessions["outage"];
  /** Given the server's clock. */
  readonly serverTime: (ms: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** The two ways to lead, with a stream and without, for one listener. */
export function sessionsOf(options: SessionsOptions): Sessions {
  const { config, installation, db, listener, outage, serverTime, clock, log } = options;
  const { database, slot } = config;
  const shared = {
    connection: connectionConfig(database.url, LEADER_APPLICATION),
    outbox: { table: OUTBOX_TABLE, oid: installation.outbox },
    lock: { classId: LOCK_CLASS_ID, shard: 0 },
    precedence: new Precedence(),
    senderTimeoutMs: slot.senderTimeoutMs,
    fenceMs: slot.fenceMs,
    clock,
    log,
  };
  const decoder = openDecoder(slot.plugin);
  const livenessTimeout = new LivenessTimeout(slot.senderTimeoutMs);
  return {
    stream: (attempt, signal) =>
      streamSession({ ...shared, ...attempt, db, slot, decoder, livenessTimeout, serverTime }, listener, signal),
    poll: (attempt, signal) => pollSession({ ...shared, ...attempt }, listener, signal),
    lost: () => listener.lost(),
    outage,
  };
}
