/** Time as an argument: milliseconds, monotonic, from an arbitrary origin. */
export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes back, whatever the system clock does. */
  now(): number;
  /** However long, `Infinity` too. Ends early, without an error, when `signal` fires: callers test the signal in their loop. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** A signal that never fires, for a sleep that nothing ends early. */
export const NEVER: AbortSignal = new AbortController().signal;

/** Node's longest timer, some 25 days: a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of production. */
export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs -= LONGEST_TIMER_MS) {
      await timer(Math.min(leftMs, LONGEST_TIMER_MS), signal);
    }
  },
};

/** Not that of `node:timers/promises`, which makes an error with a stack each time it is ended early. */
function timer(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(running);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const running = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
