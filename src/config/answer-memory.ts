import type { Config } from "./settings.ts";

const DEFAULT_BYTES = 64 * 1024 ** 2;
/** One answer is received, one decoded, and as much again is shared by all others. */
const LARGEST_ANSWERS = 4;
const BYTES_IN_FLIGHT = 16 * 1024;

/** What `results.memoryBytes` must be at least. */
export function leastAnswerMemory({ http }: Pick<Config, "http">): number {
  return LARGEST_ANSWERS * http.maxResponseBytes + BYTES_IN_FLIGHT * http.concurrency;
}

/** `results.memoryBytes`, or what it is where it is not set. */
export function answerMemory(config: Pick<Config, "http" | "results">): number {
  return config.results.memoryBytes ?? Math.max(DEFAULT_BYTES, leastAnswerMemory(config));
}
