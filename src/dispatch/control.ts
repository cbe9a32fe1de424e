import type { Clock } from "../base/clock.ts";
import { PgnetdError, toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops } from "../base/loops.ts";
import { AutoResetEvent } from "../base/auto-reset-event.ts";
import { HOST_SETTINGS_TABLE, type HostSettings } from "../outbox/host-settings.ts";
import { databaseHint } from "../pg/pooler.ts";
import { sqlstateOf } from "../pg/sqlstate.ts";

/** What the control acts on. */
export interface ControlParts {
  /** Called at each start of leadership, before anything is started, and by `refresh`; what it throws and no other try mends ends the daemon. */
  readonly identify: () => Promise<void>;
  /** Reads all settings of hosts. */
  readonly readHosts: () => Promise<ReadonlyMap<string, HostSettings>>;
  /**
   * Takes them over; called after every reading, with those before where it failed; never before one has succeeded (P7). `isLatest` is
   * false where they were changed since the reading began: the next one follows.
   */
  readonly configureHosts: (settings: ReadonlyMap<string, HostSettings>, isLatest: boolean) => void;
  /** Counts the rates until now as spent: another daemon may have sent until now (P7). */
  readonly assumeSpent: () => void;
  /** `net.worker_restart()` was called; it may be called at any rate. */
  readonly restart: () => void;
  /** Null where it is turned off; it is for metrics alone. */
  readonly heartbeat?: {
    /** Given each message first; true where it was a heartbeat. */
    readonly received: (content: string) => boolean;
    /** What was sent before does not come. */
    readonly forget: () => void;
  } | null;
  /** The outbox is to be read now, soon after the transaction being received is visible, or some time after that. */
  readonly readOutbox: (when: "now" | "visible" | "some time") => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A change may be streamed before it is visible: further readings come after so long each, in milliseconds. */
const AGAIN_MS: readonly number[] = [3, 30, 1_000];
/** The same for a reading that failed. */
const FAILED_MS: readonly number[] = [1_000];

/** What SQL may ask for, as `net.worker_restart()` and `net.wake()` write it; any role may write anything else in its place. */
const COMMANDS: ReadonlyMap<string, ControlCommand> = new Map([
  ['{"command":"restart"}', "restart"],
  ['{"command":"wake"}', "wake"],
]);

/** What a control message asks for. */
type ControlCommand = "restart" | "wake" | "unknown";

/** `net.wake()` has the outbox read at once, but not more often than this, in milliseconds. */
const WOKEN_EVERY_MS = 1_000;

/** Messages are reported at most this often, with their number. */
const REPORT_EVERY_MS = 10_000;

/** Carries out what comes from SQL beside requests: changed settings of hosts, and control calls. */
export class Control {
  readonly #parts: ControlParts;
  readonly #notified = new AutoResetEvent();
  readonly #woken = new AutoResetEvent();
  /** From a first `net.wake()` until a second passed without another. */
  #isWakingOften = false;
  /** Null before the first reading. */
  #hosts: ReadonlyMap<string, HostSettings> | null = null;
  /** Counts the times of leadership and refreshes, and the last of these for which the database was identified. */
  #leadership = 0;
  #identified = 0;
  #isFailing = false;
  /** Changes of the settings of hosts so far. */
  #changes = 0;
  #messages = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  /** A row of a table that is not the outbox changed. */
  changed(table: string): void {
    if (table !== HOST_SETTINGS_TABLE) return;
    this.#changes++;
    this.#notified.notify();
  }

  /** A control message came, of any role, and at any rate; one that this version does not know is passed over. */
  message(content: string): void {
    if (this.#parts.heartbeat?.received(content) === true) return;
    const command = COMMANDS.get(content) ?? "unknown";
    this.#report(command);
    switch (command) {
      case "restart":
        this.#parts.restart();
        break;
      case "wake":
        // P2: what it was called for may have been committed with it, and be visible only later. The reading that follows on many
        // calls sees it mostly, and nobody has to ask soon whether it does.
        this.#parts.readOutbox(this.#isWakingOften ? "some time" : "visible");
        this.#isWakingOften = true;
        this.#woken.notify();
        break;
      case "unknown":
        break;
    }
  }

  #report(command: string): void {
    const { log, clock } = this.#parts;
    this.#messages++;
    if (clock.now() - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = clock.now();
    log.info({ command, messages: this.#messages }, "control message");
    this.#messages = 0;
  }

  /** Without a stream nobody reports changes: they are read. */
  polled(): void {
    this.#notified.notify();
  }

  /** A stream begins: nobody reported changes meanwhile. */
  streaming(): void {
    this.#parts.heartbeat?.forget();
    this.#notified.notify();
  }

  /** The database is identified, and its settings are read, as for a new leadership. */
  refresh(): void {
    this.#leadership++;
    this.#notified.notify();
  }

  /** This daemon leads from now on. */
  leading(): void {
    this.#parts.assumeSpent();
    this.#leadership++;
    this.#notified.notify();
  }

  /** Carries out what was asked for, until `signal` fires. */
  readonly run: Loop = (signal) => runLoops(signal, [this.#readSettings, this.#readWoken]);

  readonly #readWoken: Loop = async (signal) => {
    const { clock, readOutbox } = this.#parts;
    while (!signal.aborted) {
      await this.#woken.wait(null, clock, signal);
      if (signal.aborted) return;
      this.#isWakingOften = true;
      readOutbox("now");
      await clock.sleep(WOKEN_EVERY_MS, signal);
      this.#isWakingOften = false;
    }
  };

  /** Reads the settings of hosts at every change of them, and again soon after the last. */
  readonly #readSettings: Loop = async (signal) => {
    const { clock } = this.#parts;
    let again: readonly number[] = [];
    while (!signal.aborted) {
      const [next = null, ...later] = again;
      const notified = await this.#notified.wait(next, clock, signal);
      if (signal.aborted) return;
      await this.#read();
      if (notified) again = AGAIN_MS;
      else again = this.#isFailing ? FAILED_MS : later;
    }
  };

  async #read(): Promise<void> {
    const { identify, readHosts, configureHosts, log } = this.#parts;
    const leadership = this.#leadership;
    const changes = this.#changes;
    try {
      if (leadership !== this.#identified) await identify();
      this.#identified = leadership;
      this.#hosts = await readHosts();
      this.#isFailing = false;
    } catch (error) {
      if (error instanceof PgnetdError && !error.retry) throw error;
      if (!this.#isFailing) {
        const hint = databaseHint(error);
        log.warn(
          { sqlstate: sqlstateOf(error), reason: toError(error).message, ...(hint !== undefined && { hint }) },
          this.#hosts === null
            ? "settings of hosts could not be read; no request starts before, and it is tried again"
            : "settings of hosts could not be read; those before stay in force, and it is tried again",
        );
      }
      this.#isFailing = true;
    }
    // What was read under an earlier leadership says nothing of this one, for which it is read next.
    if (this.#hosts !== null && this.#identified === this.#leadership)
      configureHosts(this.#hosts, changes === this.#changes);
  }
}
