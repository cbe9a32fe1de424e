import { z } from "zod";

import { PgnetdError } from "../base/errors.ts";
import type { Queryable } from "./pool.ts";
import { sqlstateOf } from "./sqlstate.ts";

/** pg_net's own settings, where somebody set them for the database or for the daemon's role; null where not. */
export interface PgNetSettings {
  /** `pg_net.ttl` in seconds. */
  readonly ttlSeconds: number | null;
  /** `pg_net.batch_size`: pg_net sends this many, then pauses for a second, so that it is a rate per second. */
  readonly batchSize: number | null;
}

const SELECT = {
  text: `select extract(epoch from nullif(pg_catalog.current_setting('pg_net.ttl', true), '')::interval)::float8 as ttl,
    nullif(pg_catalog.current_setting('pg_net.batch_size', true), '')::int as batch_size`,
};

const rowSchema = z.object({ ttl: z.number().positive().nullable(), batch_size: z.int().positive().nullable() });

/**
 * Reads what `alter role … set pg_net.ttl` and `alter database … set pg_net.batch_size` gave this connection. Throws
 * CONFIG_INVALID where a value is no interval or number above zero.
 */
export async function readPgNetSettings(db: Queryable): Promise<PgNetSettings> {
  try {
    const { rows } = await db.query(SELECT);
    const { ttl, batch_size } = rowSchema.parse(rows[0]);
    return { ttlSeconds: ttl, batchSize: batch_size };
  } catch (error) {
    if (!(error instanceof z.ZodError || isDataException(error))) throw error;
    throw new PgnetdError(
      "CONFIG_INVALID",
      "pg_net.ttl must be an interval, pg_net.batch_size a number, both above zero",
      {
        cause: error,
        hint: "They are set for the database or for the daemon's role: see \\drds in psql.",
      },
    );
  }
}

/** Class 22: what a value is, such as no interval, or out of range. */
function isDataException(error: unknown): boolean {
  return sqlstateOf(error)?.startsWith("22") === true;
}
