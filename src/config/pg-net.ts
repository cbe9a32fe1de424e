import type { LoadedConfig } from "./load.ts";
import type { Config } from "./settings.ts";

/** pg_net's settings as far as somebody set them in the database. */
interface FromDatabase {
  readonly ttlSeconds: number | null;
  readonly batchSize: number | null;
}

/** The settings with pg_net's own in place of defaults: what is set explicitly for pgnetd wins. */
export function withPgNetSettings({ config, sources }: LoadedConfig, { ttlSeconds, batchSize }: FromDatabase): Config {
  const takes = (key: string, value: number | null): value is number =>
    value !== null && sources.get(key) === "default";
  return {
    ...config,
    rate: takes("rate.perSecond", batchSize) ? { ...config.rate, perSecond: batchSize } : config.rate,
    results: takes("results.ttlSeconds", ttlSeconds) ? { ...config.results, ttlSeconds } : config.results,
  };
}
