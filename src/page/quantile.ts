type Cumulative = readonly (readonly [bound: number, count: number])[];

/**
 * What the share `q` of the numbers observed between two readings was at or below: linear inside a bucket, and the highest bound for
 * what is above all. As Prometheus's `histogram_quantile`. Null where nothing was observed.
 */
export function quantile(q: number, before: Cumulative, after: Cumulative): number | null {
  const counts = after.map(([bound, count], index) => [bound, count - (before[index]?.[1] ?? 0)] as const);
  const wanted = q * (counts.at(-1)?.[1] ?? 0);
  if (wanted <= 0) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= wanted)
      return bound === Infinity ? lower : lower + ((bound - lower) * (wanted - below)) / (count - below);
    [lower, below] = [bound, count];
  }
  return lower;
}
