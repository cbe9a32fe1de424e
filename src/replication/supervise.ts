import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Loop, stopped } from "../base/loops.ts";
import { PRECEDENCE_MS } from "../leader/precedence.ts";
import { isRefused } from "../pg/connection.ts";
import { needsNewSlot } from "./stream-failure.ts";
import { isUnreachable, type StreamOutage, outageOf } from "../slot/stream-outage.ts";

/** How one try for a stream is made. */
export interface StreamTry {
  /** Called when the stream flows. */
  readonly begun: () => void;
  /** What keeps the stream from flowing for now. */
  readonly outage: (outage: StreamOutage) => void;
  /** True where the stream of the slot could not be read: it is recreated. */
  readonly renewSlot: boolean;
  /**
   * Ends the session that leads without a stream, and resolves when it has ended: called when nothing but the leader's lock
   * keeps the stream from flowing. Null where no such session leads.
   */
  readonly handover: (() => Promise<void>) | null;
}

/** How one session without a stream is begun. */
export interface PollTry {
  /** Called when it leads. */
  readonly begun: () => void;
  /** Ends what leads in this daemon, and resolves when that has ended; null where nothing does. */
  readonly handover: (() => Promise<void>) | null;
}

/** Two ways to lead, and what is reported when one ends. */
export interface Sessions {
  /** Leads with a stream. */
  readonly stream: (attempt: StreamTry, signal: AbortSignal) => Promise<void>;
  /** Leads without one, by sweeping. */
  readonly poll: (attempt: PollTry, signal: AbortSignal) => Promise<void>;
  /** The session that led, or was to lead, ended, however it did. */
  readonly lost: () => void;
  /** What keeps the stream from flowing; null when it flows. */
  readonly outage: (outage: StreamOutage | null) => void;
}

/** What the supervision needs. */
export interface Supervision {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Where something else in this daemon leads: ends it, and resolves when it has ended. Called once, or never. */
  readonly handover?: (() => Promise<void>) | undefined;
}

/** The wait between two tries to get a stream, after one that never flowed and after one that did; the outbox is swept meanwhile. */
const NO_STREAM_RETRY = { firstMs: 100, maxMs: 10_000 };
const LOST_STREAM_RETRY = { firstMs: 100, maxMs: 1_000 };

/**
 * P3: a server that is away is tried again after so long at most, in milliseconds, however long it is away: the daemon that led is so back
 * within the time for which the others leave it the lock.
 */
const AWAY_RETRY_MS = PRECEDENCE_MS / 2;

/** A session that ends sooner has not proved itself: the next wait is longer, and the same reason is not reported again. */
const STEADY_MS = 5_000;

/**
 * Keeps a session going until `signal` fires: a stream wherever one can be had, and until then a session that sweeps, beside
 * which a stream is tried. Leadership that is to be taken over goes to one that sweeps, since the slot is in use until then.
 * The only place where a failed session is tried again.
 */
export async function superviseSessions(sessions: Sessions, supervision: Supervision): Promise<void> {
  const supervisor = new Supervisor(sessions, supervision);
  const { signal } = supervision;
  while (!signal.aborted) {
    if (!supervisor.isToTakeOver) {
      await supervisor.stream(null, signal);
      sessions.lost();
    }
    while (!signal.aborted && (await supervisor.poll(signal)) === "streamed");
  }
}

class Supervisor {
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  readonly #streamOutage: Reported;
  readonly #pollOutage: Reported;
  readonly #takeOverOutage: Reported;
  #handover: (() => Promise<void>) | null;
  /** Tries for a stream since a session held. */
  #failures = 0;
  #renewSlot = false;
  /** The next try for a stream begins no sooner. */
  #notBefore = 0;

  constructor(sessions: Sessions, { clock, log, handover }: Supervision) {
    this.#sessions = sessions;
    this.#handover = handover ?? null;
    this.#clock = clock;
    this.#streamOutage = once(log, "no stream; the outbox is swept once a second until there is one");
    this.#pollOutage = once(log, "no connection to the database");
    this.#takeOverOutage = once(log, "leadership could not be taken over yet: the present leader goes on");
  }

  /** True until the present leader was asked to end. */
  get isToTakeOver(): boolean {
    return this.#handover !== null;
  }

  /** One try for a stream, which lasts for as long as the stream flows. */
  async stream(handover: StreamTry["handover"], signal: AbortSignal): Promise<void> {
    const { stream, outage } = this.#sessions;
    let begunAt: number | null = null;
    const begun = (): void => {
      begunAt = this.#clock.now();
      this.#renewSlot = false;
      outage(null);
    };
    const attempt: StreamTry = { begun, outage, renewSlot: this.#renewSlot, handover };
    const failure = await whyEnded((all) => stream(attempt, all), signal);
    if (signal.aborted) return;
    if (this.#isSteady(begunAt)) {
      this.#failures = 0;
      this.#streamOutage.forget();
      this.#pollOutage.forget();
    }
    this.#renewSlot ||= needsNewSlot(failure, begunAt !== null);
    const isAway = isUnreachable(failure) || isRefused(failure);
    outage((isAway ? this.#pollOutage : this.#streamOutage).report(failure));
    const waitMs = backoffMs(this.#failures++, begunAt === null ? NO_STREAM_RETRY : LOST_STREAM_RETRY);
    this.#notBefore = this.#clock.now() + waitMs;
  }

  /**
   * Sweeps, and tries for a stream beside it, until the sweeping session ends by itself ("lost"), or until the stream that
   * it was ended for has ended, too ("streamed").
   */
  async poll(signal: AbortSignal): Promise<"lost" | "streamed"> {
    const { poll, lost } = this.#sessions;
    const notBefore = this.#notBefore;
    const leads = Promise.withResolvers<void>();
    let begunAt: number | null = null;
    const begun = (): void => {
      begunAt = this.#clock.now();
      this.#pollOutage.forget();
      leads.resolve();
    };
    const handedOver = new AbortController();
    const attempt: PollTry = { begun, handover: this.#handover === null ? null : () => this.#takeOver() };
    const polling = whyEnded((all) => poll(attempt, all), AbortSignal.any([signal, handedOver.signal])).finally(lost);
    const givenUp = new AbortController();
    const streaming = this.#streamBeside({ leads: leads.promise, polling, handedOver }, [signal, givenUp.signal]);

    const failure = await polling;
    const isHandedOver = handedOver.signal.aborted;
    if (!isHandedOver) givenUp.abort();
    await streaming;
    // P5: a combined signal that has not fired is held, with all that listens to it, for as long as its sources are.
    for (const own of [handedOver, givenUp]) own.abort();
    if (isHandedOver) {
      lost();
      return "streamed";
    }
    if (failure !== null) (this.isToTakeOver ? this.#takeOverOutage : this.#pollOutage).report(failure);
    if (this.#isSteady(begunAt)) this.#failures = 0;
    const waitMs = this.isToTakeOver ? backoffMs(this.#failures++, NO_STREAM_RETRY) : notBefore - this.#clock.now();
    await this.#clock.sleep(Math.min(waitMs, isUnreachable(failure) ? AWAY_RETRY_MS : Infinity), signal);
    return "lost";
  }

  async #takeOver(): Promise<void> {
    const handover = this.#handover;
    this.#handover = null;
    await handover?.();
  }

  /** Tries for a stream again and again while the sweeping session leads; the one that leadership is handed to is the last. */
  async #streamBeside({ leads, polling, handedOver }: Polling, signals: readonly AbortSignal[]): Promise<void> {
    const signal = AbortSignal.any([...signals]);
    const handover = async (): Promise<void> => {
      handedOver.abort();
      await polling;
    };
    await Promise.race([leads, stopped(signal)]);
    while (!signal.aborted && !handedOver.signal.aborted) {
      await this.#clock.sleep(this.#notBefore - this.#clock.now(), signal);
      if (!signal.aborted) await this.stream(handover, signal);
    }
  }

  #isSteady(begunAt: number | null): boolean {
    return begunAt !== null && this.#clock.now() - begunAt >= STEADY_MS;
  }
}

/** The session that sweeps. */
interface Polling {
  /** Resolves when it leads; it may never do. */
  readonly leads: Promise<void>;
  /** Resolves when it has ended. */
  readonly polling: Promise<unknown>;
  /** Ends it in favour of a stream. */
  readonly handedOver: AbortController;
}

/** A reason that is reported once, until it is another or was forgotten. */
interface Reported {
  report(error: unknown): StreamOutage;
  forget(): void;
}

function once(log: Log, what: string): Reported {
  let reported = "";
  return {
    report(error) {
      const outage = outageOf(error);
      if (outage.reason !== reported) log.warn({ ...outage }, what);
      reported = outage.reason;
      return outage;
    },
    forget() {
      reported = "";
    },
  };
}

/** Runs one session to its end; returns why it ended, null where it was asked to. */
async function whyEnded(session: Loop, signal: AbortSignal): Promise<unknown> {
  try {
    await session(signal);
    return null;
  } catch (error) {
    return signal.aborted ? null : error;
  }
}
