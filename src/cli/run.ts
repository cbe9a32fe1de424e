import { systemClock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { LoadedConfig } from "../config/load.ts";
import { type PipelineOptions, runPipeline } from "../pipeline/pipeline.ts";
import { Restarts } from "./restarts.ts";

/** What a run needs. */
export interface RunOptions extends Pick<PipelineOptions, "log" | "stop" | "watched"> {
  /** Reads the settings, at the start and at each `net.worker_restart()`. */
  readonly load: () => LoadedConfig;
}

/**
 * Serves until `stop` fires; then what is in flight has `stop.graceMs` to end before it is cancelled and left to the
 * next start. Settings that cannot be read at a restart leave those before in force.
 */
export async function run({ load, stop, log, ...rest }: RunOptions): Promise<void> {
  const restarts = new Restarts({ clock: systemClock, log });
  let loaded = load();
  while (!stop.aborted) {
    const again = new AbortController();
    const end = AbortSignal.any([stop, again.signal]);
    const restart = (): void => {
      try {
        loaded = load();
        again.abort();
      } catch (error) {
        log.error(
          { reason: toError(error).message },
          "no restart: the settings cannot be read; those before stay in force",
        );
      }
    };
    await runOnce({
      ...rest,
      log,
      loaded,
      stop: end,
      restart: () => restarts.ask(restart, end),
      renew: () => again.abort(),
    });
    if (!again.signal.aborted) return;
  }
}

async function runOnce(options: Omit<PipelineOptions, "kill">): Promise<void> {
  const { loaded, stop } = options;
  const kill = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  stop.addEventListener(
    "abort",
    () => {
      timer = setTimeout(() => kill.abort(), loaded.config.stop.graceMs);
    },
    { once: true },
  );
  try {
    await runPipeline({ ...options, kill: kill.signal });
  } finally {
    clearTimeout(timer);
  }
}
