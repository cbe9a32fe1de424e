import type { PgnetdError } from "../base/errors.ts";
import type { DispatcherState } from "../dispatch/dispatcher.ts";
import type { HttpMode } from "../http/mode.ts";
import type { HealthSource } from "../ops/health.ts";
import type { SlotWatch } from "../ops/slot-watch.ts";
import { healthOf } from "../ops/status.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";

/** The health of a daemon, of what its parts report: at first of the wait for the schema, then of the dispatcher and its session. */
export class DaemonHealth implements HealthSource {
  /** Null while the schema is waited for: it may be somebody else's, and is not read. */
  #watch: SlotWatch | null = null;
  readonly #mode: HttpMode;
  /** Null while the schema is waited for. */
  #dispatcher: { readonly state: DispatcherState } | null = null;
  /** What keeps the stream from flowing. */
  #outage: StreamOutage | null = null;
  /** Why the database cannot be used yet. */
  #waitingFor: PgnetdError | null = null;

  constructor(mode: HttpMode) {
    this.#mode = mode;
  }

  readonly waitingFor = (problem: PgnetdError | null): void => {
    this.#waitingFor = problem;
  };

  readonly outage = (outage: StreamOutage | null): void => {
    this.#outage = outage;
  };

  /** The schema is there, and requests are dispatched. */
  dispatches(dispatcher: { readonly state: DispatcherState }, watch: SlotWatch): void {
    this.#dispatcher = dispatcher;
    this.#watch = watch;
  }

  readonly health: HealthSource["health"] = () =>
    healthOf({
      state: this.#dispatcher?.state ?? null,
      outage: this.#outage,
      database: this.#watch?.last ?? null,
      mode: this.#mode,
      waitingFor: this.#waitingFor,
    });

  readonly asked: HealthSource["asked"] = () => this.#watch?.look();
}
