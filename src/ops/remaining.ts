import { z } from "zod";

import { hostOfSettings } from "../outbox/host-settings.ts";
import { hostOfLane } from "../outbox/lane.ts";
import type { Queryable } from "../pg/pool.ts";
import { COUNT_MOST } from "./database-status.ts";

/** What is left in the outbox. */
export interface Remaining {
  /** Requests that are due or in flight, counted up to `COUNT_MOST`. */
  readonly due: number;
  /** Requests that wait for a later time, counted up to `COUNT_MOST`. */
  readonly later: number;
  /** The earliest of those times, as PostgreSQL writes it; null without any. */
  readonly nextDue: string | null;
  /** Hosts that are paused, in order, as the settings spell them. */
  readonly pausedHosts: readonly string[];
  /** Answers stored since the reading before, per second; null at the first. */
  readonly answeredPerSecond: number | null;
  /** When the database was read, for the next reading. */
  readonly at: string;
}

const SELECT = `
select pg_catalog.clock_timestamp()::text as at, l.later, l.next_due::text,
  (select pg_catalog.count(*) from (
    select from net.http_request_queue where next_attempt_at is null limit ${COUNT_MOST}) q)::int
  + (select pg_catalog.count(*) from (
    select from net.http_request_queue where next_attempt_at <= pg_catalog.now() limit ${COUNT_MOST}) q)::int as due,
  array(select host from net.http_host_settings where paused order by host) as paused,
  (select pg_catalog.count(*) from net._http_response where created > $1::timestamptz)::float8
    / nullif(extract(epoch from pg_catalog.clock_timestamp() - $1::timestamptz)::float8, 0::float8) as per_second
from (
  select pg_catalog.count(*)::int as later, pg_catalog.min(next_attempt_at) as next_due from (
    select next_attempt_at from net.http_request_queue where next_attempt_at > pg_catalog.now()
    order by next_attempt_at limit ${COUNT_MOST}) q
) l`;

const rowSchema = z.object({
  at: z.string(),
  due: z.int(),
  later: z.int(),
  next_due: z.string().nullable(),
  paused: z.array(z.string()),
  per_second: z.number().nullable(),
});

/** Reads the outbox; `before` is the reading before, where there was one. */
export async function readRemaining(db: Queryable, before: Remaining | null): Promise<Remaining> {
  const { rows } = await db.query({ text: SELECT, values: [before?.at ?? null] });
  const { at, due, later, next_due, paused, per_second } = rowSchema.parse(rows[0]);
  const atMost = Math.min(due, COUNT_MOST);
  return { at, due: atMost, later, nextDue: next_due, pausedHosts: paused, answeredPerSecond: per_second };
}

/** With more lanes than this it is not known whose requests are left. */
const MOST_LANES = 1_000;

const SELECT_LANES = `
select lane, outbox_rows > deferred or next_due <= pg_catalog.now() as "isDue" from net.http_lane_status(${MOST_LANES + 1})`;

/** True where all that is due is for hosts that are paused. */
export async function areAllPaused(db: Queryable, { pausedHosts }: Remaining): Promise<boolean> {
  if (pausedHosts.length === 0) return false;
  const { rows } = await db.query<{ lane: string; isDue: boolean }>({ text: SELECT_LANES });
  const paused = new Set<string | null>(pausedHosts.map(hostOfSettings));
  return rows.length <= MOST_LANES && rows.every(({ lane, isDue }) => !isDue || paused.has(hostOfLane(lane)));
}
