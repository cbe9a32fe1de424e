import { setImmediate } from "node:timers/promises";

import { z } from "zod";

import { type Clock, NEVER } from "../base/clock.ts";
import { startOfText } from "../base/text-start.ts";
import { LONGEST_URL } from "../base/url-start.ts";
import { isInt8 } from "../pg/int8.ts";
import type { Queryable, Statement } from "../pg/pool.ts";
import { isoTime, masked, startOfUrl } from "./lists.ts";
import { searchedPrefix, shownUrl, type ShownUrls } from "./masking.ts";

/** Of each place so many of the latest are searched for a url: no index has urls. */
const LATEST = 5_000;
const MOST_FOUND = 50;

/** Characters of a url that are compared: where its host alone is shown, as many as have user, password and host. */
const COMPARED: Readonly<Record<ShownUrls, number>> = { host: 512, path: LONGEST_URL };
/** Urls that are compared in one turn of the event loop: less than a millisecond. */
const AT_ONCE = 100;
/** After that, none are compared for so many times as long. */
const LEAST_PAUSE = 20;

function selectLatest(urls: ShownUrls): Statement {
  const url = startOfUrl("url", COMPARED[urls]);
  return {
    name: `pgnetd_page_latest_${urls}`,
    text: `
(select id::text, ${url} as url from net.http_request_queue order by id desc limit ${LATEST})
union all
(select id::text, ${url} from net.http_response_detail order by created desc limit ${LATEST})
union all
(select id::text, ${url} from net.http_dead_letter order by died desc limit ${LATEST})`,
  };
}

const SELECT_LATEST = { host: selectLatest("host"), path: selectLatest("path") };

const SELECT_BY_ID = {
  name: "pgnetd_page_by_id",
  text: `
(select 'waiting' as place, id::text, ${isoTime("created")} as created, null as ended, method::text, ${startOfUrl("url")} as url, null as "errorCode", null::int as status,
  null as error, attempts, null::float8 as "totalMs", ${isoTime("next_attempt_at")} as due
from net.http_request_queue where id = any($1::int8[]))
union all
(select 'ended', d.id::text, null, ${isoTime("d.created")}, d.method, ${startOfUrl("d.url")}, d.error_code, r.status_code, ${startOfText("r.error_msg")}, d.attempts,
  d.total_ms::float8, null
from net.http_response_detail d
left join lateral (
  select status_code, error_msg from net._http_response where id = d.id and created = d.created limit 1) r on true
where d.id = any($1::int8[]) limit ${4 * MOST_FOUND})
union all
(select 'dead', id::text, ${isoTime("created")}, ${isoTime("died")}, method, ${startOfUrl("url")}, error_code, status_code, ${startOfText("error_msg")}, attempts, null, null
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

/** Finds requests. P6: those by a url are found one after another, with a pause between: comparing all of them takes some time. */
export class Search {
  readonly #db: Queryable;
  readonly #clock: Clock;
  #isBusy = false;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(db: Queryable, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Finds requests by their id, or by how their url begins as it is shown (P11: what is not shown cannot be searched). */
  async find(text: string, urls: ShownUrls): Promise<Found> {
    const wanted = text.trim();
    if (isInt8(wanted)) {
      return { requests: await byId(this.#db, [wanted], urls), note: `request ${wanted}` };
    }
    const prefix = searchedPrefix(wanted, urls);
    if (prefix === "") return { requests: [], note: "enter the id of a request, or how its url begins: https://…" };
    if (this.#isBusy) throw new Error("another search is under way; try again");
    this.#isBusy = true;
    try {
      await this.#clock.sleep(Math.max(0, this.#notBefore - this.#clock.now()), NEVER);
      return await this.#byPrefix(prefix, urls);
    } finally {
      this.#isBusy = false;
    }
  }

  async #byPrefix(prefix: string, urls: ShownUrls): Promise<Found> {
    const latest = (await this.#db.query<{ id: string; url: string }>(SELECT_LATEST[urls])).rows;
    const ids = await this.#idsOf(latest, (url) => shownUrl(url, urls, COMPARED[urls]).startsWith(prefix));
    const first = [...ids].slice(0, MOST_FOUND);
    const requests = (await byId(this.#db, first, urls)).filter(({ url }) => url.startsWith(prefix));
    const more = ids.size > first.length ? `the first ${MOST_FOUND} of ${ids.size}` : String(ids.size);
    return { requests, note: `${more} among the latest ${LATEST} waiting, ended and dead that begin with ${prefix}` };
  }

  async #idsOf(
    rows: readonly { readonly id: string; readonly url: string }[],
    isWanted: (url: string) => boolean,
  ): Promise<ReadonlySet<string>> {
    const began = this.#clock.now();
    const ids = new Set<string>();
    for (let at = 0; at < rows.length; at += AT_ONCE) {
      for (const { id, url } of rows.slice(at, at + AT_ONCE)) if (isWanted(url)) ids.add(id);
      await setImmediate();
    }
    const ended = this.#clock.now();
    this.#notBefore = ended + LEAST_PAUSE * (ended - began);
    return ids;
  }
}

async function byId(db: Queryable, ids: readonly string[], urls: ShownUrls): Promise<Found["requests"]> {
  const { rows } = await db.query({ ...SELECT_BY_ID, values: [ids] });
  return z
    .array(foundSchema)
    .parse(rows)
    .map((row) => masked(row, urls));
}
