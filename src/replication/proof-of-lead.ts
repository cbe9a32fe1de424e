import type { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import { leads } from "../leader/holder.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";

/** Waits between two questions, in milliseconds; and for an answer at most. */
const PAUSE_MS = 100;
const ANSWER_MS = 2_000;

/** What the proof needs. */
export interface ProofOptions {
  readonly db: Queryable;
  /** Notified where the session may have ended unheard. */
  readonly doubted: AutoResetEvent;
  /** The session's process on the server; null before it is known. */
  readonly pid: () => number | null;
  /** Called with a moment of the clock after which the session had the leader's lock. */
  readonly proven: (at: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * P3: asks over another connection whether the session leads, each time that is in doubt. What comes over its own connection after a silence
 * may have been written before it: a network that was cut for a while delivers what it had taken from a server that ended the session since.
 */
export function proveLead({ db, doubted, pid, proven, clock, log }: ProofOptions): Loop {
  const failures = new FailureLog(log, {
    failed: "after a silence it is not known whether this daemon leads still: no request starts; asking again",
    succeeded: "this daemon leads still",
  });
  const ask = async (signal: AbortSignal): Promise<void> => {
    const known = pid();
    const answer = known === null ? false : leads(db, known);
    const late = clock.sleep(ANSWER_MS, signal).then(() => null);
    const isLeader = await Promise.race([answer, late]);
    if (isLeader === null) throw new PgnetdError("STREAM_LOST", `no answer within ${ANSWER_MS} ms`);
    if (!isLeader) throw new PgnetdError("STREAM_LOST", "the leader's lock is not held by the session that streams");
  };
  return async (signal) => {
    while (!signal.aborted) {
      await doubted.wait(null, clock, signal);
      if (signal.aborted) return;
      const askedAt = clock.now();
      try {
        await ask(signal);
        if (signal.aborted) return;
        failures.succeeded();
        proven(askedAt);
      } catch (error) {
        if (signal.aborted) return;
        failures.failed(error);
      }
      await clock.sleep(PAUSE_MS, signal);
    }
  };
}
