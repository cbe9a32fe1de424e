import { setTimeout as delay } from "node:timers/promises";

const FIRST_WAIT_MS = 5;
const MAX_WAIT_MS = 100;
/** Only a failure waits for so long; a machine busy with other work must not be one. */
export const DEADLINE_MS = 30_000;

/**
 * Calls `probe` until it returns something other than `undefined` or `false`, and resolves to that. A probe that throws,
 * such as a failed expectation, is tried again too; after `withinMs` (default 30 s) the last failure is thrown.
 * It is called at least every `maxWaitMs` (default 100 ms): more often for what shows for a moment only.
 * Not `vi.waitFor`, since benchmarks use this too, and run without vitest.
 */
export async function eventually<T>(
  probe: () => T | Promise<T>,
  withinMs = DEADLINE_MS,
  maxWaitMs = MAX_WAIT_MS,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + withinMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, maxWaitMs)) {
    let failure: unknown;
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
      failure = new Error(`not within ${withinMs} ms: ${probe.toString().slice(0, 300)}`);
    } catch (error) {
      failure = error;
    }
    if (performance.now() + waitMs > deadline) throw failure;
    await delay(waitMs);
  }
}
