/** Resolves when stopped by its signal, rejects when it fails. */
export type Loop = (signal: AbortSignal) => Promise<void>;

/** Runs loops until one ends or `signal` fires, stops the rest, waits for all, throws the first failure. */
export async function runLoops(signal: AbortSignal, loops: readonly Loop[]): Promise<void> {
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  const failures: unknown[] = [];
  await Promise.all(
    loops.map(async (loop) => {
      try {
        await loop(all);
      } catch (error) {
        failures.push(error);
      } finally {
        stop.abort();
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

/** Resolves when `signal` fires; at once when it already has. */
export async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves or rejects as `promise` does; to null when `signal` fires before. Leaves nothing at the signal, however long that lives. */
export async function unlessStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const { promise: ended, resolve } = Promise.withResolvers<null>();
  const end = (): void => resolve(null);
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([promise, ended]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}
