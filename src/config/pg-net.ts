import type { LoadedConfig } from "./load.ts";
import { type Config, LONGEST_SECONDS, MOST_PER_SECOND } from "./settings.ts";

/** pg_net's settings as far as somebody set them in the database. */
interface FromDatabase {
  readonly ttlSeconds: number | null;
  readonly batchSize: number | null;
}

/** The settings with pg_net's own, within the bounds of pgnetd's, in place of defaults: what is set explicitly for pgnetd wins. */
export function withPgNetSettings({ config, sources }: LoadedConfig, given: FromDatabase): Config {
  const taken = (key: string, value: number | null, most: number): number | null =>
    value === null || sources.get(key) !== "default" ? null : Math.min(value, most);
  const perSecond = taken("rate.perSecond", given.batchSize, MOST_PER_SECOND);
  const ttlSeconds = taken("results.ttlSeconds", given.ttlSeconds, LONGEST_SECONDS);
  return {
    ...config,
    rate: perSecond === null ? config.rate : { ...config.rate, perSecond },
    results: ttlSeconds === null ? config.results : { ...config.results, ttlSeconds },
  };
}
