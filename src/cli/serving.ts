import type { LoadedConfig } from "../config/load.ts";
import type { HealthSource } from "../ops/health.ts";
import { type PipelineOptions, runPipeline } from "../daemon/daemon.ts";

/** One pipeline at work with its settings. */
export interface Serving {
  readonly loaded: LoadedConfig;
  readonly source: HealthSource;
  /** Whether it has begun to take the lead over. */
  readonly isTakingOver: boolean;
  /** Resolves when it has ended, after the signal or `end`; rejects where it failed. */
  readonly ended: Promise<void>;
  /** Ends it: what is in flight has `stop.graceMs` to end. Resolves when it has ended, however it did. */
  end(): Promise<void>;
}

/** What a pipeline needs from the run it is of. */
export interface ServingOptions extends Pick<PipelineOptions, "loaded" | "log" | "restart" | "renew"> {
  readonly stop: AbortSignal;
  /** Ends the pipeline that leads so far; null where none does. */
  readonly handover: (() => Promise<void>) | null;
}

/** Of a pipeline that failed before it could tell. */
const UNKNOWN: HealthSource = {
  health: () => {
    throw new Error("the pipeline has not begun");
  },
  asked: () => undefined,
};

/** Begins a pipeline. */
export function serve({ loaded, log, restart, renew, stop, handover }: ServingOptions): Serving {
  const ending = new AbortController();
  const kill = new AbortController();
  const told = AbortSignal.any([stop, ending.signal]);
  let timer: NodeJS.Timeout | undefined;
  const grace = (): void => {
    timer = setTimeout(() => kill.abort(), loaded.config.stop.graceMs);
  };
  told.addEventListener("abort", grace, { once: true });
  let isTakingOver = false;
  let source = UNKNOWN;
  const ended = runPipeline({
    loaded,
    log,
    restart,
    renew,
    stop: told,
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
  }).finally(() => clearTimeout(timer));
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
