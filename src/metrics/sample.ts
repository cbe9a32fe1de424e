import type { Clock } from "../base/clock.ts";
import type { DispatcherState } from "../dispatch/dispatcher.ts";
import type { HostLoad } from "../sending/hosts.ts";
import type { DatabaseReading } from "./database-reading.ts";
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
  readonly load: { readonly hosts: readonly HostLoad[]; readonly lanesPaused: number };
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
  /** Null where the database did not answer. */
  readonly database: DatabaseReading | null;
  readonly slotSecondsToLimit: number | null;
  readonly heartbeatPendingMs: number;
}

/** Where a sample comes from. */
export interface SamplerParts {
  readonly meters: Meters;
  readonly limits: Limits;
  readonly isReady: () => boolean;
  readonly read: () => Promise<DatabaseReading>;
  readonly clock: Clock;
}

/** What there is once requests are dispatched. */
export interface Dispatched {
  readonly dispatcher: Dispatching;
  readonly answers: { readonly bytes: number };
  /** Null where it is turned off. */
  readonly heartbeat: Heartbeat | null;
  /** Those in force: the database may have settings of its own. */
  readonly limits: Limits;
}

/** A scrape waits no longer for the database, in milliseconds: Prometheus itself gives up after ten seconds. */
const LONGEST_READING_MS = 2_000;

/** Takes samples of one daemon. */
export class Sampler {
  readonly #parts: SamplerParts;
  readonly #forecast = new SlotForecast();
  #dispatched: Dispatched | null = null;
  /** A reading that has not ended: no other begins meanwhile, however often it is scraped. */
  #reading: Promise<DatabaseReading | null> | null = null;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
  }

  /** The schema is there, and requests are dispatched. */
  dispatches(dispatched: Dispatched): void {
    this.#dispatched = dispatched;
  }

  /** Never rejects: where the database is away, what is read from it is missing. */
  async sample(): Promise<Sample> {
    const { meters, limits, isReady, clock } = this.#parts;
    const database = await this.#readInTime();
    const state = this.#dispatched?.dispatcher.state ?? null;
    const heartbeat = this.#dispatched?.heartbeat ?? null;
    const isStreaming = state !== null && (state.phase === "live" || state.phase === "catch-up");
    if (!isStreaming) heartbeat?.forget();
    else if (database !== null) heartbeat?.beat();
    return {
      meters,
      limits: this.#dispatched?.limits ?? limits,
      isReady: isReady(),
      state,
      load: this.#dispatched?.dispatcher.load ?? null,
      answerBytes: this.#dispatched?.answers.bytes ?? 0,
      database,
      slotSecondsToLimit: database === null ? null : this.#forecast.read(clock.now(), database.slot.safeBytes),
      heartbeatPendingMs: heartbeat?.pendingMs ?? 0,
    };
  }

  async #readInTime(): Promise<DatabaseReading | null> {
    this.#reading ??= this.#parts
      .read()
      .catch(() => null)
      .finally(() => (this.#reading = null));
    const enough = new AbortController();
    const late = this.#parts.clock.sleep(LONGEST_READING_MS, enough.signal).then(() => null);
    const reading = await Promise.race([this.#reading, late]);
    enough.abort();
    return reading;
  }
}
