import { z } from "zod";

import { hostnameOf } from "../base/url-start.ts";
import { MOST_PER_SECOND } from "../config/settings.ts";
import type { Queryable } from "../pg/pool.ts";

/** Limits for one destination host, from `net.http_host_settings`; null where the configured default applies. */
export interface HostSettings {
  readonly ratePerSecond: number | null;
  readonly concurrency: number | null;
  /** Nothing is sent; its requests wait in the outbox. */
  readonly paused: boolean;
}

/**
 * The destination as limits know it: a trailing dot, which ends the full name of the same host, makes no other. Empty where there is none, and
 * where it is too long to be one.
 */
export function hostOf(url: string): string {
  return withoutDot(hostnameOf(url));
}

/** The host that a row of the settings is for: as in a url, so a name or an address in another spelling is the same one. */
export function hostOfSettings(text: string): string {
  return hostOf(`http://${text}/`) || withoutDot(text);
}

function withoutDot(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** `schema.name` of the table; a committed change of it reaches the daemon over the stream. */
export const HOST_SETTINGS_TABLE = "net.http_host_settings";

/** Of a rate that is smaller than numbers here can be, the statement would fail, and with it the settings of every host. */
const LEAST_PER_SECOND = 1e-300;

/** Null stays null, where `least` alone would make a rate of it. */
const RATE = `case when rate_per_second is not null
    then greatest(least(rate_per_second, ${MOST_PER_SECOND}::numeric), ${LEAST_PER_SECOND}::numeric)::float8 end`;

const SELECT = {
  name: "pgnetd_host_settings",
  text: `select host::text, ${RATE} as rate_per_second, concurrency::int, paused::boolean from ${HOST_SETTINGS_TABLE}`,
};

const rowSchema = z.object({
  host: z.string(),
  rate_per_second: z.number().nullable(),
  concurrency: z.int().nullable(),
  paused: z.boolean(),
});

const NO_SETTINGS: HostSettings = { ratePerSecond: null, concurrency: null, paused: false };

/** Reads all settings, by host. Where several rows are for one host, the stricter of each setting holds. */
export async function readHostSettings(db: Queryable): Promise<ReadonlyMap<string, HostSettings>> {
  const { rows } = await db.query(SELECT);
  const settings = new Map<string, HostSettings>();
  for (const row of rows) {
    const { host: text, rate_per_second, concurrency, paused } = rowSchema.parse(row);
    const host = hostOfSettings(text);
    const before = settings.get(host) ?? NO_SETTINGS;
    settings.set(host, {
      ratePerSecond: stricter(rate_per_second, before.ratePerSecond),
      concurrency: stricter(concurrency, before.concurrency),
      paused: paused || before.paused,
    });
  }
  return settings;
}

function stricter(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

/** The rates among the settings, per second, by host. */
export function ratesOf(settings: ReadonlyMap<string, HostSettings>): ReadonlyMap<string, number> {
  return new Map(
    [...settings].flatMap(([host, { ratePerSecond }]) => (ratePerSecond === null ? [] : [[host, ratePerSecond]])),
  );
}
