import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { DispatcherState } from "../dispatch/dispatcher.ts";
import { mayStart } from "../dispatch/phase.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Queryable } from "../pg/pool.ts";
import type { SenderLoad } from "../sending/host-scheduler.ts";
import {
  type DatabaseReading,
  LONGEST_READING_MS,
  readDatabase,
  readServer,
  type ServerReading,
} from "./database-reading.ts";
import type { Heartbeat, HeartbeatMeter } from "./heartbeat.ts";
import type { RequestMeter } from "./request-meter.ts";
import { SlotForecast } from "./slot-forecast.ts";

/** What is counted of one database for as long as the process lives, whichever daemons of it have served it. */
export interface Meters {
  /** The value of the label `database`. */
  readonly database: string;
  readonly requests: RequestMeter;
  readonly heartbeats: HeartbeatMeter;
}

/** Bounds that are shown beside what they bound. */
export interface Limits {
  readonly inFlight: number;
  readonly memoryRequests: number;
  readonly memoryBytes: number;
  readonly answerBytes: number;
  readonly perSecond: number | "unlimited";
}

/** What a dispatching daemon is asked. */
export interface Dispatching {
  readonly state: DispatcherState;
  readonly load: SenderLoad;
}

/** Everything that one scrape shows of one database. */
export interface Sample {
  readonly meters: Meters;
  readonly limits: Limits;
  readonly isReady: boolean;
  /** Null while the schema is waited for. */
  readonly state: DispatcherState | null;
  readonly load: Dispatching["load"] | null;
  readonly answerBytes: number;
  /** True where the database answers, even if the reading for this scrape failed or was too slow. */
  readonly isUp: boolean;
  /** Null where it was. */
  readonly server: ServerReading | null;
  /** Null there, too, and while the schema is waited for. */
  readonly database: DatabaseReading | null;
  readonly slotSecondsToLimit: number | null;
  readonly heartbeatPendingMs: number;
}

/** Where a sample comes from. */
export interface SamplerParts {
  readonly meters: Meters;
  readonly limits: Limits;
  readonly isReady: () => boolean;
  /** Asked whether the database answers at all, and of its catalogs while the schema is waited for. */
  readonly db: Queryable;
  /** Null is the default one. */
  readonly slotName: string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** What there is once requests are dispatched. */
export interface Dispatched {
  readonly dispatcher: Dispatching;
  /** Schema `net` is read with it; before, it may be somebody else's, and is not. */
  readonly db: Queryable;
  readonly answers: { readonly bytes: number };
  /** Null where it is turned off. */
  readonly heartbeat: Heartbeat | null;
  /** Those in force: the database may have settings of its own. */
  readonly limits: Limits;
}

/** What was read for a sample. */
type Reading = Pick<Sample, "server" | "database">;

const NOT_READ: Reading = { server: null, database: null };

/** Prometheus itself gives up after ten seconds: a scrape waits so long for an answer where the reading failed, in milliseconds. */
const LONGEST_PING_MS = 2_000;
/** A database that a leader heard within this time is up, in milliseconds. */
const HEARD_LATELY_MS = 5_000;

/** Takes samples of one daemon. */
export class Sampler {
  readonly #parts: SamplerParts;
  readonly #forecast = new SlotForecast();
  #dispatched: Dispatched | null = null;
  /** A reading that has not ended: no other begins meanwhile, however often it is scraped. */
  #reading: Promise<Reading> | null = null;
  /** The same for the question whether the database answers at all. */
  #ping: Promise<boolean> | null = null;
  readonly #failures: FailureLog;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
    this.#failures = new FailureLog(parts.log, {
      failed: "metrics of the database could not be read; trying again at the next scrape",
      succeeded: "metrics of the database are read again",
    });
  }

  /** The schema is there, and requests are dispatched. */
  dispatches(dispatched: Dispatched): void {
    this.#dispatched = dispatched;
  }

  /** Never rejects: where the database is away, what is read from it is missing. */
  async sample(): Promise<Sample> {
    const { meters, limits, isReady, clock } = this.#parts;
    const { server, database } = await this.#inTime(this.#read(), LONGEST_READING_MS, NOT_READ);
    const isUp =
      server !== null || this.#isHeardLately() || (await this.#inTime(this.#answers(), LONGEST_PING_MS, false));
    const state = this.#dispatched?.dispatcher.state ?? null;
    const heartbeat = this.#dispatched?.heartbeat ?? null;
    const isStreaming = state !== null && (state.phase === "live" || state.phase === "catch-up");
    if (!isStreaming) heartbeat?.forget();
    else if (database !== null) heartbeat?.beat(workOf(meters.requests, state));
    return {
      meters,
      limits: this.#dispatched?.limits ?? limits,
      isReady: isReady(),
      state,
      load: this.#dispatched?.dispatcher.load ?? null,
      answerBytes: this.#dispatched?.answers.bytes ?? 0,
      isUp,
      server,
      database,
      slotSecondsToLimit: server === null ? null : this.#forecast.read(clock.now(), server.slot.safeWalBytes),
      heartbeatPendingMs: heartbeat?.pendingMs ?? 0,
    };
  }

  #read(): Promise<Reading> {
    this.#reading ??= (
      this.#dispatched === null ? this.#readWaiting() : this.#readDispatching(this.#dispatched)
    ).finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** A slot of before retains WAL meanwhile. Whoever waits logs what fails. */
  async #readWaiting(): Promise<Reading> {
    const { db, slotName } = this.#parts;
    return readServer(db, slotName).then(
      (server) => ({ server, database: null }),
      () => NOT_READ,
    );
  }

  async #readDispatching({ db }: Dispatched): Promise<Reading> {
    return readDatabase(db, this.#parts.slotName).then(
      (database) => {
        this.#failures.succeeded();
        return { server: database, database };
      },
      (error: unknown) => {
        this.#failures.failed(error);
        return NOT_READ;
      },
    );
  }

  #answers(): Promise<boolean> {
    this.#ping ??= this.#parts.db
      .query({ text: "select 1", timeoutMs: LONGEST_PING_MS })
      .then(
        () => true,
        () => false,
      )
      .finally(() => (this.#ping = null));
    return this.#ping;
  }

  #isHeardLately(): boolean {
    const state = this.#dispatched?.dispatcher.state;
    if (state === undefined || !mayStart(state.phase)) return false;
    return state.heardMsAgo !== null && state.heardMsAgo < HEARD_LATELY_MS;
  }

  async #inTime<T>(promise: Promise<T>, ms: number, otherwise: T): Promise<T> {
    const enough = new AbortController();
    const late = this.#parts.clock.sleep(ms, enough.signal).then(() => otherwise);
    const result = await Promise.race([promise, late]);
    enough.abort();
    return result;
  }
}

/** A number that changes with what is received and sent. Each request adds to it when it is received, starts and ends, and takes one off when it is stored. */
function workOf({ startedCount, startToAnswer }: RequestMeter, { inMemory }: DispatcherState): number {
  return startedCount + startToAnswer.count + inMemory;
}
