/** Bounds of a series of growing waits, in milliseconds. */
export interface BackoffBounds {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The wait before try number `attempt` (0 is the first repeat): doubles from `firstMs` up to `maxMs`, without jitter. */
export function backoffMs(attempt: number, { firstMs, maxMs }: BackoffBounds): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30));
}
