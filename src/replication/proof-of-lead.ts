import type { AutoResetEvent } from "../base/auto-reset-event.ts";
import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import { type LeadReading, readLead } from "../leader/holder.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Lsn } from "../pg/lsn.ts";
import type { Queryable } from "../pg/pool.ts";
import { MESSAGE_PREFIX } from "../wal/events.ts";

/** Waits between two questions. */
const PAUSE = { firstMs: 10, maxMs: 200 };
/** For an answer, in milliseconds. */
const ANSWER_MS = 2_000;
/** Between two messages that are written for a position to confirm, in milliseconds. */
const WRITE_EVERY_MS = 1_000;
/** A server that has not sent such a message within this decodes a large transaction, in milliseconds. */
const DECODES_MS = 2_000;

/** The session whose lead is proven. */
export interface ProvenSession {
  /** Its process on the server; null before it is known. */
  pid(): number | null;
  /** Everything before it was received. */
  received(): Lsn;
  /** Whether it may have ended unheard. */
  isDoubted(): boolean;
  /** Sends a status that confirms what none did before; false where there is nothing left to confirm. */
  confirmAnother(): boolean;
  /** The server has processed every status up to the one that confirmed `position`. */
  processed(position: Lsn): void;
  /** It had the leader's lock after `at`. */
  hadLock(at: number): void;
}

/** What the proof needs. */
export interface ProofOptions {
  readonly db: Queryable;
  readonly session: ProvenSession;
  /** Notified where the session may have ended unheard. */
  readonly doubted: AutoResetEvent;
  readonly clock: Clock;
  readonly log: Log;
}

/** Passed over where it is received; not for a standby to hold up. */
const WRITE_MESSAGE = `select pg_catalog.pg_logical_emit_message(true, '${MESSAGE_PREFIX}-proof'::text, ''::text)
where pg_catalog.set_config('synchronous_commit', 'local', true) is not null`;

/**
 * P3: asks over another connection for what the session has processed, each time that it is in doubt whether it lives. What comes over its own
 * connection after a silence may have been written before it: a network that was cut delivers what it had taken from a server that ended the
 * session since, or that has not heard it for so long that it will in a moment. But the server ends it only `wal_sender_timeout` after
 * it last processed something of it, so what it has processed of late says until when no other daemon leads.
 *
 * P6: where the server decodes one transaction for so long that there is nothing left to confirm, that the session has the lock suffices.
 */
export function proveLead({ db, session, doubted, clock, log }: ProofOptions): Loop {
  const failures = new FailureLog(log, {
    failed: "after a silence it is not known whether this daemon leads still: no request starts; asking again",
    succeeded: "this daemon leads still",
  });
  const ask = async (signal: AbortSignal): Promise<LeadReading> => {
    const pid = session.pid();
    const answer = pid === null ? { leads: false, confirmed: null } : readLead(db, pid);
    const late = clock.sleep(ANSWER_MS, signal).then(() => null);
    const reading = await Promise.race([answer, late]);
    if (reading === null) throw new PgnetdError("STREAM_LOST", `no answer within ${ANSWER_MS} ms`);
    if (!reading.leads)
      throw new PgnetdError("STREAM_LOST", "the leader's lock is not held by the session that streams");
    return reading;
  };
  let writtenAt = Number.NEGATIVE_INFINITY;
  /** Up to where everything that was received is confirmed, and since when. */
  let spent: { readonly received: Lsn; readonly at: number } | null = null;
  const confirm = (): void => {
    if (session.confirmAnother()) {
      spent = null;
      return;
    }
    const received = session.received();
    if (spent?.received !== received) spent = { received, at: clock.now() };
    write();
  };
  const write = (): void => {
    if (clock.now() - writtenAt < WRITE_EVERY_MS) return;
    writtenAt = clock.now();
    // Not waited for: what matters is that the stream brings it.
    db.query({ text: WRITE_MESSAGE }).catch((error: unknown) => failures.failed(error));
  };
  const settle = async (signal: AbortSignal): Promise<void> => {
    for (let tries = 0; session.isDoubted() && !signal.aborted; tries++) {
      try {
        confirm();
        const askedAt = clock.now();
        const { confirmed } = await ask(signal);
        if (signal.aborted) return;
        if (confirmed !== null) session.processed(confirmed);
        if (spent !== null && askedAt - spent.at > DECODES_MS) session.hadLock(askedAt);
        if (!session.isDoubted()) failures.succeeded();
      } catch (error) {
        if (signal.aborted) return;
        failures.failed(error);
      }
      if (session.isDoubted()) await clock.sleep(backoffMs(tries, PAUSE), signal);
    }
  };
  return async (signal) => {
    while (!signal.aborted) {
      await doubted.wait(null, clock, signal);
      await settle(signal);
    }
  };
}
