import type { Meters, Sample } from "../metrics/sample.ts";
import type { Health } from "../ops/health.ts";
import type { Queryable } from "../pg/pool.ts";

/** The daemon that the page shows. */
export interface PageSource {
  readonly health: () => Health;
  readonly sample: () => Promise<Sample>;
  readonly meters: Meters;
  /** Ordinary connections. */
  readonly db: Queryable;
}
