import { z } from "zod";

import { startOfText } from "../base/text-start.ts";
import { LONGEST_URL } from "../base/url-start.ts";
import { type HostSettings, readHostSettings } from "../outbox/host-settings.ts";
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

const SELECT_LANES = {
  name: "pgnetd_page_lanes",
  text: `
select l.lane, l.host, l.outbox_rows::float8 as "outboxRows", l.deferred::float8 as deferred,
  case when pg_catalog.isfinite(l.oldest) then extract(epoch from pg_catalog.clock_timestamp() - l.oldest)::float8 end as "oldestSeconds",
  l.queued, l.in_flight as "inFlight", l.is_behind as "isBehind",
  l.last_error as "lastError", extract(epoch from pg_catalog.clock_timestamp() - l.last_error_at)::float8 as "lastErrorSeconds"
from net.http_lane_status(${MOST_LANES}) l
order by l.outbox_rows desc, l.lane`,
};

const SELECT_FAILURES = {
  name: "pgnetd_page_failures",
  text: `
select d.id::text, ${isoTime("d.created")} as ended, d.method, ${startOfUrl("d.url")} as url, d.error_code as "errorCode", r.status_code as status,
  ${startOfText("r.error_msg")} as error, d.attempts, d.total_ms as "totalMs"
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
select id::text, ${isoTime("died")} as ended, method, ${startOfUrl("url")} as url, error_code as "errorCode", status_code as status,
  ${startOfText("error_msg")} as error,
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
  /** Code of the host's last failure, or its status from 500 on; a host that answers again has it still. */
  lastError: z.string().nullable(),
  lastErrorSeconds: z.number().nullable(),
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

/** One lane as it is shown, with the settings of its host. */
export interface ShownLane extends z.infer<typeof laneSchema> {
  readonly ratePerSecond: number | null;
  readonly concurrency: number | null;
  readonly isPaused: boolean;
}

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

/**
 * Reads them: ranges of indexes, of bounded length each. The database knows the failures of busy lanes alone, as they were
 * reported: others and later ones are added.
 */
export async function readLists(db: Queryable, urls: ShownUrls, lastFailures: LastFailures): Promise<Lists> {
  const lanes = z.array(laneSchema).parse((await db.query(SELECT_LANES)).rows);
  const settings = await readHostSettings(db);
  const failures = z.array(endedSchema).parse((await db.query(SELECT_FAILURES)).rows);
  const deadLetters = z.array(endedSchema).parse((await db.query(SELECT_DEAD_LETTERS)).rows);
  return {
    lanes: lanes.map((lane) => withFailure(withSettings(lane, settings), lastFailures)),
    pausedHosts: pausedAmong(settings),
    failures: failures.map((row) => masked(row, urls)),
    deadLetters: deadLetters.map((row) => masked(row, urls)),
  };
}

/** The daemon reports no host of a lane of which it has not read a request yet, and what it reports of a pause is seconds old. */
function withSettings(lane: z.infer<typeof laneSchema>, settings: ReadonlyMap<string, HostSettings>): ShownLane {
  const host = lane.host ?? hostOfLane(lane.lane);
  const {
    ratePerSecond = null,
    concurrency = null,
    paused: isPaused = false,
  } = (host === null ? null : settings.get(host)) ?? {};
  return { ...lane, host, ratePerSecond, concurrency, isPaused };
}

function pausedAmong(settings: ReadonlyMap<string, HostSettings>): readonly string[] {
  const paused = [...settings].flatMap(([host, one]) => (one.paused ? [host] : []));
  return paused.toSorted().slice(0, MOST_HOSTS);
}

function withFailure(lane: ShownLane, lastFailures: LastFailures): ShownLane {
  const failure = lane.host === null ? undefined : lastFailures.get(lane.host);
  if (failure === undefined) return lane;
  const seconds = failure.msAgo / 1_000;
  if (lane.lastErrorSeconds !== null && lane.lastErrorSeconds <= seconds) return lane;
  return { ...lane, lastError: failure.code, lastErrorSeconds: seconds };
}

/** P11: what a request shows of itself. */
export function masked<R extends Pick<ShownRequest, "url" | "error">>(row: R, urls: ShownUrls): R {
  return { ...row, url: shownUrl(row.url, urls), error: row.error === null ? null : shownText(row.error, urls) };
}
