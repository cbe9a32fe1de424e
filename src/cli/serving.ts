import type { LoadedConfig } from "../config/load.ts";
import { type DaemonOptions, type DaemonSource, runDaemon } from "../daemon/daemon.ts";

/** One pipeline at work with its settings. */
export interface Serving {
  readonly loaded: LoadedConfig;
  readonly source: DaemonSource;
  /** Whether it has begun to take over leadership. */
  readonly isTakingOver: boolean;
  /** Resolves when it has ended, after the signal or `end`; rejects where it failed. */
  readonly ended: Promise<void>;
  /** Ends it: what is in flight has `stop.graceMs` to end. Resolves when it has ended, however it did. */
  end(): Promise<void>;
}

/** What a daemon needs from the run it is of. */
export interface ServingOptions extends Pick<DaemonOptions, "loaded" | "log" | "meters" | "restart" | "renew"> {
  readonly stop: AbortSignal;
  /** Ends the daemon that leads so far; null where none does. */
  readonly handover: (() => Promise<void>) | null;
}

/** Of a daemon that failed before it could report any. */
const UNKNOWN: DaemonSource = {
  health: () => {
    throw new Error("the daemon has not begun");
  },
  asked: () => undefined,
  sample: async () => {
    throw new Error("the daemon has not begun");
  },
  db: {
    query: async () => {
      throw new Error("the daemon has not begun");
    },
  },
};

/** Begins a daemon. */
export function serve({ loaded, log, meters, restart, renew, stop, handover }: ServingOptions): Serving {
  const ending = new AbortController();
  const kill = new AbortController();
  const stopping = AbortSignal.any([stop, ending.signal]);
  let timer: NodeJS.Timeout | undefined;
  const grace = (): void => {
    timer = setTimeout(() => kill.abort(), loaded.config.stop.graceMs);
  };
  stopping.addEventListener("abort", grace, { once: true });
  let isTakingOver = false;
  let source = UNKNOWN;
  const ended = runDaemon({
    loaded,
    log,
    meters,
    restart,
    renew,
    stop: stopping,
    kill: kill.signal,
    watched: (given) => {
      source = given;
    },
    handover:
      handover === null
        ? undefined
        : async () => {
            isTakingOver = true;
            await handover();
          },
  }).finally(() => {
    // P5: a combined signal that has not fired is held, with all that listens to it, for as long as its sources are.
    ending.abort();
    clearTimeout(timer);
  });
  ended.catch(() => undefined);
  return {
    loaded,
    source,
    get isTakingOver() {
      return isTakingOver;
    },
    ended,
    async end() {
      ending.abort();
      await ended.catch(() => undefined);
    },
  };
}
