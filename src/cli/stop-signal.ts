/** A further signal within this time is the same wish: a terminal and npm both pass one Ctrl-C on. */
const SAME_WISH_MS = 500;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Fires at the first SIGTERM or Ctrl-C, or when the reader of standard output has gone. A further signal then ends the
 * process at once, as if there were no handler.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) return;
    stop.abort();
    setTimeout(() => SIGNALS.forEach((signal) => process.off(signal, onSignal)), SAME_WISH_MS).unref();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.stdout.on("error", () => stop.abort());
  return stop.signal;
}
