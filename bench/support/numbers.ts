/** The value at `share` (0 to 1) of the way through `values`; of sorted ones, the percentile. */
export function percentile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

/** The most events in any half-open window of `widthMs`; `times` ascending, in milliseconds. */
export function busiestWindow(times: ArrayLike<number>, widthMs: number): number {
  let most = 0;
  let first = 0;
  for (let last = 0; last < times.length; last += 1) {
    while ((times[last] ?? 0) - (times[first] ?? 0) >= widthMs) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** How many of 1 to `count` came never, and how many more than once. */
export function lostAndRepeated(
  numbers: Int32Array,
  count: number,
): { readonly lost: number; readonly repeated: number } {
  const seen = new Uint8Array(count + 1);
  let repeated = 0;
  for (const n of numbers) {
    if (seen[n] === 1) repeated += 1;
    seen[n] = 1;
  }
  let lost = 0;
  for (let n = 1; n <= count; n += 1) if (seen[n] !== 1) lost += 1;
  return { lost, repeated };
}
