import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";
import { isoTime, masked, startOfUrl } from "./lists.ts";
import { searchedPrefix, shownUrl, type ShownUrls } from "./masking.ts";

/** Of each place so many of the latest are searched for a url: no index has urls. */
const LATEST = 5_000;
const MOST_FOUND = 50;

const SELECT_LATEST = {
  name: "pgnetd_page_latest",
  text: `
(select id::text, ${startOfUrl("url")} as url from net.http_request_queue order by id desc limit ${LATEST})
union all
(select id::text, ${startOfUrl("url")} from net.http_response_detail order by created desc limit ${LATEST})
union all
(select id::text, ${startOfUrl("url")} from net.http_dead_letter order by died desc limit ${LATEST})`,
};

const SELECT_BY_ID = {
  name: "pgnetd_page_by_id",
  text: `
(select 'waiting' as place, id::text, ${isoTime("created")} as created, null as ended, method::text, ${startOfUrl("url")} as url, null as "errorCode", null::int as status,
  null as error, attempts, null::float8 as "totalMs", ${isoTime("next_attempt_at")} as due
from net.http_request_queue where id = any($1::int8[]))
union all
(select 'ended', d.id::text, null, ${isoTime("d.created")}, d.method, ${startOfUrl("d.url")}, d.error_code, r.status_code, r.error_msg, d.attempts,
  d.total_ms::float8, null
from net.http_response_detail d
left join lateral (
  select status_code, error_msg from net._http_response where id = d.id and created = d.created limit 1) r on true
where d.id = any($1::int8[]) limit ${4 * MOST_FOUND})
union all
(select 'dead', id::text, ${isoTime("created")}, ${isoTime("died")}, method, ${startOfUrl("url")}, error_code, status_code, error_msg, attempts, null, null
from net.http_dead_letter where id = any($1::int8[]) limit ${4 * MOST_FOUND})`,
};

const foundSchema = z.object({
  place: z.enum(["waiting", "ended", "dead"]),
  id: z.string(),
  created: z.string().nullable(),
  ended: z.string().nullable(),
  method: z.string(),
  url: z.string(),
  errorCode: z.string().nullable(),
  status: z.int().nullable(),
  error: z.string().nullable(),
  attempts: z.int(),
  totalMs: z.number().nullable(),
  due: z.string().nullable(),
});

/** What a search found, and what it can say of it. */
export interface Found {
  readonly requests: readonly z.infer<typeof foundSchema>[];
  /** What was searched, for a person to read. */
  readonly note: string;
}

/** Finds requests by their id, or by how their url begins as it is shown (P11: what is not shown cannot be searched). */
export async function search(db: Queryable, text: string, urls: ShownUrls): Promise<Found> {
  const wanted = text.trim();
  if (/^-?\d{1,18}$/.test(wanted)) {
    return { requests: await byId(db, [wanted], urls), note: `request ${wanted}` };
  }
  const prefix = searchedPrefix(wanted, urls);
  if (prefix === "") return { requests: [], note: "enter the id of a request, or how its url begins: https://…" };
  const latest = (await db.query<{ id: string; url: string }>(SELECT_LATEST)).rows;
  const isWanted = ({ url }: { readonly url: string }): boolean => shownUrl(url, urls).startsWith(prefix);
  const ids = new Set(latest.filter(isWanted).map(({ id }) => id));
  const first = [...ids].slice(0, MOST_FOUND);
  const requests = (await byId(db, first, urls)).filter(isWanted);
  const more = ids.size > first.length ? `the first ${MOST_FOUND} of ${ids.size}` : String(ids.size);
  return { requests, note: `${more} among the latest ${LATEST} waiting, ended and dead that begin with ${prefix}` };
}

async function byId(db: Queryable, ids: readonly string[], urls: ShownUrls): Promise<Found["requests"]> {
  const { rows } = await db.query({ ...SELECT_BY_ID, values: [ids] });
  return z
    .array(foundSchema)
    .parse(rows)
    .map((row) => masked(row, urls));
}
