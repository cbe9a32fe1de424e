import type { Log } from "../../src/base/log.ts";
import { serve, type Serving } from "../../src/cli/serving.ts";
import type { LoadedConfig } from "../../src/config/load.ts";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import { after, as, type Process, virtualNow } from "./virtual-time.ts";

/** What a daemon says goes here, with its name. */
export type Listen = (line: string) => void;

/** One daemon, as a process of the simulation. */
export class DaemonProcess implements Process {
  readonly name: string;
  pausedUntil = 0;
  isDead = false;
  timers = 0;
  #serving: Serving | null = null;
  readonly #stop = new AbortController();
  /** How it ended: null while it runs. */
  ended: { readonly error: unknown } | null = null;

  constructor(name: string, loaded: LoadedConfig, listen: Listen | null) {
    this.name = name;
    after(0, this, () => {
      const serving = serve({
        loaded,
        log: listen === null ? SILENT : logTo(name, listen),
        meters: { database: "app", requests: new RequestMeter(100), heartbeats: new HeartbeatMeter() },
        stop: this.#stop.signal,
        restart: (refresh) => void refresh(loaded).catch(() => undefined),
        renew: () => {
          throw new Error("the schema is gone");
        },
        handover: null,
      });
      this.#serving = serving;
      serving.ended.then(
        () => {
          this.ended = { error: null };
        },
        (error: unknown) => {
          this.ended = { error };
        },
      );
    });
  }

  /** Requests in its memory that wait, and that are in flight. */
  get load(): number {
    if (this.#serving === null || this.isDead || this.ended !== null) return 0;
    const { queued, inFlight } = this.#serving.source.health().requests;
    return queued + inFlight;
  }

  get state(): string {
    if (this.isDead) return "dead";
    if (this.ended !== null) return "ended";
    return this.#serving?.source.health().state ?? "starting";
  }

  /** SIGTERM. */
  stop(): void {
    after(0, this, () => as(this, () => this.#stop.abort()));
  }

  /** It stands still, as a suspended process or machine. */
  pause(ms: number): void {
    this.pausedUntil = Math.max(this.pausedUntil, virtualNow() + ms);
  }
}

const quiet = (): void => undefined;
const SILENT: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

function logTo(name: string, listen: Listen): Log {
  const say =
    (level: string) =>
    (fields: object, message: string): void =>
      listen(`${name} ${level}: ${message} ${JSON.stringify(fields)}`);
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}
