import type { PgnetdError } from "../base/errors.ts";
import type { DispatcherState } from "../dispatch/dispatcher.ts";
import type { HttpMode } from "../http/mode.ts";
import type { HealthSource } from "../ops/health.ts";
import type { SlotWatch } from "../ops/slot-watch.ts";
import { healthOf } from "../ops/status.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";

/** The health of a daemon, of what its parts report: at first of the wait for the schema, then of the dispatcher and its session. */
export class DaemonHealth implements HealthSource {
  readonly #watch: SlotWatch;
  readonly #mode: HttpMode;
  /** Null while the schema is waited for. */
  #dispatcher: { readonly state: DispatcherState } | null = null;
  /** What keeps the stream from flowing. */
  #outage: StreamOutage | null = null;
  /** Why the database cannot be used yet. */
  #waitingFor: PgnetdError | null = null;

  constructor(watch: SlotWatch, mode: HttpMode) {
    this.#watch = watch;
    this.#mode = mode;
  }

  readonly waitingFor = (problem: PgnetdError | null): void => {
    this.#waitingFor = problem;
  };

  readonly outage = (outage: StreamOutage | null): void => {
    this.#outage = outage;
  };

  /** The schema is there, and requests are dispatched. */
  dispatches(dispatcher: { readonly state: DispatcherState }): void {
    this.#dispatcher = dispatcher;
  }

  readonly health: HealthSource["health"] = () =>
    healthOf({
      state: this.#dispatcher?.state ?? null,
      outage: this.#outage,
      database: this.#watch.last,
      mode: this.#mode,
      waitingFor: this.#waitingFor,
    });

  readonly asked: HealthSource["asked"] = () => this.#watch.look();
}
