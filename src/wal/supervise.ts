import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { type StreamTrouble, troubleOf } from "./trouble.ts";

/** How one try for a stream is made. */
export interface StreamTry {
  /** Called when the stream flows. */
  readonly begun: () => void;
  /** What keeps the stream from flowing for now. */
  readonly trouble: (trouble: StreamTrouble) => void;
  /** True where the stream of the slot could not be read: it is made anew. */
  readonly renewSlot: boolean;
}

/** Two ways to lead, and what is told when one ends. */
export interface Sessions {
  /** Leads with a stream. */
  readonly stream: (attempt: StreamTry, signal: AbortSignal) => Promise<void>;
  /** Leads without one, by sweeping. */
  readonly poll: Loop;
  /** The session ended, however it did. */
  readonly lost: () => void;
  /** What keeps the stream from flowing; null when it flows. */
  readonly trouble: (trouble: StreamTrouble | null) => void;
}

/** The wait between two tries to get a stream, after one that never flowed and after one that did; the outbox is swept meanwhile. */
const NO_STREAM_RETRY = { firstMs: 100, maxMs: 10_000 };
const LOST_STREAM_RETRY = { firstMs: 100, maxMs: 1_000 };

/** A stream that ends sooner has not proved itself: the next wait is longer, and the same reason is not told again. */
const STEADY_MS = 5_000;

/**
 * Keeps a session going until `signal` fires: a stream wherever one can be had, and between two tries for one a
 * session that sweeps. The only place where a failed session is tried again.
 */
export async function superviseSessions(
  sessions: Sessions,
  { clock, log, signal }: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const tellStream = once(log, "no stream; the outbox is swept once a second until there is one");
  const tellPoll = once(log, "no connection to the database");
  let failures = 0;
  let renewSlot = false;
  while (!signal.aborted) {
    let begunAt: number | null = null;
    const begun = (): void => {
      begunAt = clock.now();
      renewSlot = false;
      sessions.trouble(null);
    };
    const { trouble } = sessions;
    const failure = await ended(sessions, (all) => sessions.stream({ begun, trouble, renewSlot }, all), signal);
    if (signal.aborted) return;
    if (isSteady(begunAt, clock)) {
      failures = 0;
      tellStream.forget();
    }
    renewSlot ||= needsNewSlot(failure, begunAt !== null);
    trouble(tellStream.tell(failure));
    const again = new AbortController();
    const waitMs = backoffMs(failures, begunAt === null ? NO_STREAM_RETRY : LOST_STREAM_RETRY);
    const waited = clock.sleep(waitMs, signal).then(() => again.abort());
    failures++;
    const noConnection = await ended(sessions, sessions.poll, AbortSignal.any([signal, again.signal]));
    if (noConnection === null) tellPoll.forget();
    else tellPoll.tell(noConnection);
    await waited;
  }
}

/** Runs one session to its end; returns why it ended, null where it was told to. */
async function ended(sessions: Sessions, loop: Loop, signal: AbortSignal): Promise<unknown> {
  try {
    await loop(signal);
    return null;
  } catch (error) {
    return signal.aborted ? null : error;
  } finally {
    sessions.lost();
  }
}

function isSteady(begunAt: number | null, clock: Clock): boolean {
  return begunAt !== null && clock.now() - begunAt >= STEADY_MS;
}

/**
 * Classes of SQLSTATE of a stream whose rows the server itself cannot bring: what they are, what they take (a row that is
 * larger as text than a message may be), what is left of the WAL, and anything unforeseen.
 */
const UNBRINGABLE: ReadonlySet<string> = new Set(["22", "54", "58", "XX"]);

/**
 * P4: true where another try would meet the same again, and so hold back WAL without end. Besides what pgnetd or the
 * server cannot read that is a publication dropped and made anew: a slot looks at the past with the catalog of then, in
 * which the old one is missing.
 */
function needsNewSlot(error: unknown, hasBegun: boolean): boolean {
  const isUnreadable = error instanceof PgnetdError && error.code === "STREAM_UNREADABLE";
  const sqlstate = sqlstateOf(error);
  return (
    isUnreadable || sqlstate === SQLSTATE.undefinedObject || (hasBegun && UNBRINGABLE.has(sqlstate?.slice(0, 2) ?? ""))
  );
}

/** Tells a reason once, until it is another or was forgotten. */
function once(log: Log, what: string): { tell(error: unknown): StreamTrouble; forget(): void } {
  let told = "";
  return {
    tell(error) {
      const trouble = troubleOf(error);
      if (trouble.reason !== told) log.warn({ ...trouble }, what);
      told = trouble.reason;
      return trouble;
    },
    forget() {
      told = "";
    },
  };
}
