import type pg from "pg";

import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { stopped } from "../base/loops.ts";
import { Client } from "../pg/client.ts";
import type { LockKey } from "../wal/advisory-lock.ts";
import { takeLockBack, takeOver, type TakenOver } from "../leader/handover.ts";
import type { LockHolder } from "../leader/holder.ts";
import { type LockWait, takeLeaderLock } from "../leader/lock.ts";
import type { Precedence } from "../leader/precedence.ts";
import { parseLsn } from "../pg/lsn.ts";
import type { SessionListener } from "./session-options.ts";
import { ask, askEveryMs, endWithPeer, hangUp, type Silence } from "../wal/wire.ts";

/** What a session without a stream needs. */
export interface PollSessionOptions extends Silence {
  readonly connection: pg.ClientConfig;
  readonly lock: LockKey;
  readonly precedence: Precedence;
  /** Null where the session is to lead by itself; else another one of this daemon leads: this ends it and resolves when it has ended. */
  readonly handover: (() => Promise<void>) | null;
  /** Called when it leads. */
  readonly begun: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

const IDENTITY = `select s.system_identifier::text as systemid,
    ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as timeline,
    pg_catalog.pg_current_wal_insert_lsn()::text as xlogpos
  from pg_catalog.pg_control_system() s`;

/**
 * Leads without a stream, as a loop: an ordinary connection holds the leader's lock and is asked for a sign of life
 * until `signal` fires. For the time in which no replication connection or slot can be had.
 */
export async function pollSession(
  options: PollSessionOptions,
  listener: Pick<SessionListener, "standby" | "leading" | "heard">,
  signal: AbortSignal,
): Promise<void> {
  const { connection, lock, senderTimeoutMs, clock } = options;
  // A connection that is gone is given up soon; until then slot.fenceMs holds everything back.
  const answerMs = senderTimeoutMs / 4;
  const client = new Client(connection);
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined);
  client.on("error", (error) => broken.reject(error));
  const lead = async (): Promise<void> => {
    await client.connect();
    await endWithPeer(client, senderTimeoutMs);
    const [identity] = await ask<{ systemid: string; timeline: number; xlogpos: string }>(client, IDENTITY, answerMs);
    if (identity === undefined) throw new PgnetdError("INTERNAL", "pg_control_system() returned nothing");
    const server = { systemId: identity.systemid, timeline: identity.timeline, end: parseLsn(identity.xlogpos) };
    const waiting = (holder: LockHolder | null): void => listener.standby(holder, server);
    const held = await takeLock(client, options, waiting, signal);
    if (held === null) return;
    let { hasLock } = held;
    listener.leading(server);
    listener.heard(held.at);
    options.begun();
    while (!signal.aborted) {
      await clock.sleep(askEveryMs(options), signal);
      const askedAt = clock.now();
      if (hasLock) await ask(client, "select 1", answerMs);
      else hasLock = await takeLockBack(client, lock, answerMs);
      listener.heard(askedAt);
    }
  };
  const leading = lead();
  leading.catch(() => undefined);
  try {
    await Promise.race([leading, broken.promise, stopped(signal)]);
  } finally {
    await hangUp(client, () => client.end(), clock);
  }
}

/** Waits for leadership, or takes it over; null where `signal` fired first. */
async function takeLock(
  client: pg.Client,
  { lock, precedence, handover, senderTimeoutMs, fenceMs, clock, log }: PollSessionOptions,
  waiting: LockWait["waiting"],
  signal: AbortSignal,
): Promise<TakenOver | null> {
  const answerMs = senderTimeoutMs / 4;
  const shared = { clock, signal, answerMs };
  if (handover !== null) {
    return takeOver(client, lock, {
      ...shared,
      end: handover,
      log,
      askEveryMs: askEveryMs({ senderTimeoutMs, fenceMs }),
    });
  }
  const at = await takeLeaderLock(client, lock, { ...shared, precedence, waiting });
  return at === null ? null : { at, hasLock: true };
}
