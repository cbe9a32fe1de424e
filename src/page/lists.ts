import { z } from "zod";

import { LONGEST_URL } from "../base/url-start.ts";
import { hostOfSettings } from "../outbox/host-settings.ts";
import { hostOfLane } from "../outbox/lane.ts";
import type { Queryable } from "../pg/pool.ts";
import type { SenderLoad } from "../sending/host-scheduler.ts";
import { shownText, shownUrl, type ShownUrls } from "./masking.ts";

const MOST_LANES = 30;
const MOST_SHOWN = 30;
const MOST_HOSTS = 50;
/** Failures are looked for among so many of the latest results: what that costs does not grow with how many are kept. */
export const LATEST_RESULTS = 1_000;

/** Text of a timestamp, in ISO 8601. */
export function isoTime(column: string): string {
  return `pg_catalog.to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** P5: as much of a url as is shown of it. */
export function startOfUrl(column: string, longest = LONGEST_URL): string {
  return `pg_catalog.left(${column}, ${longest})`;
}

/** The host in a lane's key, where the daemon reports none: it has not read a request of the lane yet. */
const HOST_OF_LANE = String.raw`pg_catalog.substring(l.lane, '^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?( |$)')`;

const SELECT_LANES = {
  name: "pgnetd_page_lanes",
  text: `
select l.lane, coalesce(l.host, ${HOST_OF_LANE}) as host, l.outbox_rows::float8 as "outboxRows", l.deferred::float8 as deferred,
  case when pg_catalog.isfinite(l.oldest) then extract(epoch from pg_catalog.clock_timestamp() - l.oldest)::float8 end as "oldestSeconds",
  l.queued, l.in_flight as "inFlight", l.is_behind as "isBehind", coalesce(s.paused, l.is_paused, false) as "isPaused",
  l.last_error as "lastError", extract(epoch from pg_catalog.clock_timestamp() - l.last_error_at)::float8 as "lastErrorSeconds", s.rate_per_second::float8 as "ratePerSecond", s.concurrency
from net.http_lane_status(${MOST_LANES}) l
left join net.http_host_settings s on s.host = coalesce(l.host, ${HOST_OF_LANE})
order by l.outbox_rows desc, l.lane`,
};

const SELECT_PAUSED = {
  name: "pgnetd_page_paused",
  text: `select host from net.http_host_settings where paused order by host limit ${MOST_HOSTS}`,
};

const SELECT_FAILURES = {
  name: "pgnetd_page_failures",
  text: `
select d.id::text, ${isoTime("d.created")} as ended, d.method, ${startOfUrl("d.url")} as url, d.error_code as "errorCode", r.status_code as status,
  r.error_msg as error, d.attempts, d.total_ms as "totalMs"
from (
  select id, created, method, url, error_code, attempts, total_ms::float8
  from net.http_response_detail order by created desc limit ${LATEST_RESULTS}) d
left join lateral (
  select status_code, error_msg from net._http_response where id = d.id and created = d.created limit 1) r on true
where d.error_code is not null or r.status_code >= 400
order by d.created desc limit ${MOST_SHOWN}`,
};

const SELECT_DEAD_LETTERS = {
  name: "pgnetd_page_dead_letters",
  text: `
select id::text, ${isoTime("died")} as ended, method, ${startOfUrl("url")} as url, error_code as "errorCode", status_code as status, error_msg as error,
  attempts, null::float8 as "totalMs"
from net.http_dead_letter order by died desc limit ${MOST_SHOWN}`,
};

const laneSchema = z.object({
  lane: z.string(),
  host: z.string().nullable(),
  outboxRows: z.number(),
  deferred: z.number(),
  oldestSeconds: z.number().nullable(),
  queued: z.int(),
  inFlight: z.int(),
  isBehind: z.boolean().nullable(),
  isPaused: z.boolean(),
  /** Code of the host's last failure, or its status from 500 on; a host that answers again has it still. */
  lastError: z.string().nullable(),
  lastErrorSeconds: z.number().nullable(),
  ratePerSecond: z.number().nullable(),
  concurrency: z.int().nullable(),
});

const endedSchema = z.object({
  id: z.string(),
  ended: z.string().nullable(),
  method: z.string(),
  url: z.string(),
  errorCode: z.string().nullable(),
  status: z.int().nullable(),
  error: z.string().nullable(),
  attempts: z.int(),
  totalMs: z.number().nullable(),
});

/** One lane as it is shown. */
export type ShownLane = z.infer<typeof laneSchema>;

/** One request that ended, as it is shown. */
export type ShownRequest = z.infer<typeof endedSchema>;

/** The tables of the page. */
export interface Lists {
  readonly lanes: readonly ShownLane[];
  readonly pausedHosts: readonly string[];
  readonly failures: readonly ShownRequest[];
  readonly deadLetters: readonly ShownRequest[];
}

/** By host. */
export type LastFailures = SenderLoad["lastFailures"];

/** Reads them: ranges of indexes, of bounded length each. The database knows the failures of busy lanes alone: others are added. */
export async function readLists(db: Queryable, urls: ShownUrls, lastFailures: LastFailures): Promise<Lists> {
  const lanes = z.array(laneSchema).parse((await db.query(SELECT_LANES)).rows);
  const paused = (await db.query<{ host: string }>(SELECT_PAUSED)).rows;
  const failures = z.array(endedSchema).parse((await db.query(SELECT_FAILURES)).rows);
  const deadLetters = z.array(endedSchema).parse((await db.query(SELECT_DEAD_LETTERS)).rows);
  return {
    lanes: lanes.map((lane) => withFailure({ ...lane, host: lane.host ?? hostOfLane(lane.lane) }, lastFailures)),
    pausedHosts: [...new Set(paused.map(({ host }) => hostOfSettings(host)))],
    failures: failures.map((row) => masked(row, urls)),
    deadLetters: deadLetters.map((row) => masked(row, urls)),
  };
}

function withFailure(lane: ShownLane, lastFailures: LastFailures): ShownLane {
  const failure = lane.host === null ? undefined : lastFailures.get(lane.host);
  if (lane.lastError !== null || failure === undefined) return lane;
  return { ...lane, lastError: failure.code, lastErrorSeconds: failure.msAgo / 1_000 };
}

/** P11: what a request shows of itself. */
export function masked<R extends Pick<ShownRequest, "url" | "error">>(row: R, urls: ShownUrls): R {
  return { ...row, url: shownUrl(row.url, urls), error: row.error === null ? null : shownText(row.error, urls) };
}
