import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";

/** Limits for one destination host, from `net.http_host_settings`; null where the configured default applies. */
export interface HostSettings {
  readonly ratePerSecond: number | null;
  readonly concurrency: number | null;
  /** Nothing is sent; its requests wait in the outbox. */
  readonly paused: boolean;
}

/** A host as limits know it: a trailing dot, which ends the full name of the same host, makes no other. */
export function limitedHost(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** `schema.name` of the table; a committed change of it reaches the daemon over the stream. */
export const HOST_SETTINGS_TABLE = "net.http_host_settings";

/** As for the rate in all: a window of starts is held for each host. */
const MOST_PER_SECOND = 100_000;

const SELECT = {
  name: "pgnetd_host_settings",
  text: `select host::text, least(rate_per_second::numeric, ${MOST_PER_SECOND}::numeric)::float8 as rate_per_second, concurrency::int, paused::boolean from ${HOST_SETTINGS_TABLE}`,
};

const rowSchema = z.object({
  host: z.string(),
  rate_per_second: z.number().nullable(),
  concurrency: z.int().nullable(),
  paused: z.boolean(),
});

/** Reads all settings, by host. Where a host has a row with a trailing dot and one without, the latter holds. */
export async function readHostSettings(db: Queryable): Promise<ReadonlyMap<string, HostSettings>> {
  const { rows } = await db.query(SELECT);
  const settings = new Map<string, HostSettings>();
  for (const row of rows) {
    const { host, rate_per_second, concurrency, paused } = rowSchema.parse(row);
    const limited = limitedHost(host);
    if (limited !== host && settings.has(limited)) continue;
    settings.set(limited, { ratePerSecond: rate_per_second, concurrency, paused });
  }
  return settings;
}

/** The rates among the settings, per second, by host. */
export function ratesOf(settings: ReadonlyMap<string, HostSettings>): ReadonlyMap<string, number> {
  return new Map(
    [...settings].flatMap(([host, { ratePerSecond }]) => (ratePerSecond === null ? [] : [[host, ratePerSecond]])),
  );
}
