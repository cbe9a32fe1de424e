import { z } from "zod";

import { startOfText } from "../base/text-start.ts";
import type { Queryable } from "../pg/pool.ts";
import { shownUrl } from "../results/shown-url.ts";

/** How one request ended. */
export interface TailedResult {
  readonly id: string;
  /** When it ended, by the database's clock, in ISO 8601. */
  readonly ended: string;
  readonly method: string;
  /** Without user, password and query. */
  readonly url: string;
  /** Null without an answer. */
  readonly status: number | null;
  /** A short word for why there is no answer; null with one. */
  readonly errorCode: string | null;
  readonly error: string | null;
  readonly attempts: number;
  /** True for a dead letter. */
  readonly dead: boolean;
  /** Of the last try; null for a dead letter. */
  readonly totalMs: number | null;
}

/** Rows become visible some time after the time in them: so far back they are looked for again, in seconds. */
const OVERLAP_SECONDS = 5;
/** Read at once, and at most; a tail that falls behind reads again at once. */
const PAGE = 1_000;

const SELECT_NOW =
  "select (pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::float8))::text as since";

/** A range of an index each of answers and of dead letters, however many are kept. */
const SELECT = `
select id::text, made::text, pg_catalog.to_char(made at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ended,
  method, url, error_code, attempts, total_ms, status_code, ${startOfText("error_msg")} as error_msg, dead
from (
  (select d.id, d.created as made, d.method, d.url, d.error_code, d.attempts, d.total_ms, r.status_code, r.error_msg, false as dead
  from net.http_response_detail d
  left join lateral (
    select status_code, error_msg from net._http_response where id = d.id and created = d.created limit 1
  ) r on true
  where d.created >= $1::timestamptz and (d.created, d.id) > ($1::timestamptz, $2::int8)
  order by d.created, d.id limit ${PAGE})
  union all
  (select id, died, method, ${shownUrl("url")}, error_code, attempts, null, status_code, error_msg, true
  from net.http_dead_letter
  where died >= $1::timestamptz and (died, id) > ($1::timestamptz, $2::int8)
  order by died, id limit ${PAGE})
) results
order by results.made, results.id limit ${PAGE}`;

const rowSchema = z.object({
  id: z.string(),
  made: z.string(),
  ended: z.string(),
  method: z.string(),
  url: z.string(),
  error_code: z.string().nullable(),
  attempts: z.int(),
  total_ms: z.number().nullable(),
  status_code: z.int().nullable(),
  error_msg: z.string().nullable(),
  dead: z.boolean(),
});

const SELECT_BACK = `select greatest($2::timestamptz, $1::timestamptz - pg_catalog.make_interval(secs => ${OVERLAP_SECONDS}))::text as since`;

const LOWEST_ID = "-9223372036854775808";

/** Results as they are stored, each once, in the order of their end as far as they become visible in it. */
export class ResultTail {
  readonly #db: Queryable;
  /** Nothing from before is shown. */
  readonly #begin: string;
  #newest: string;
  /** Those within the overlap that were returned, with the time of their end in milliseconds. */
  readonly #seen = new Map<string, number>();

  private constructor(db: Queryable, begin: string) {
    this.#db = db;
    this.#begin = this.#newest = begin;
  }

  /** Begins with what ended up to `secondsAgo` ago. */
  static async open(db: Queryable, secondsAgo: number): Promise<ResultTail> {
    const { rows } = await db.query<{ since: string }>({ text: SELECT_NOW, values: [secondsAgo] });
    return new ResultTail(db, rows[0]?.since ?? "now");
  }

  /** What has been stored since the last call, page by page. */
  async *next(): AsyncGenerator<readonly TailedResult[]> {
    const { rows } = await this.#db.query<{ since: string }>({
      text: SELECT_BACK,
      values: [this.#newest, this.#begin],
    });
    let from: readonly [created: string, id: string] = [rows[0]?.since ?? this.#begin, LOWEST_ID];
    for (;;) {
      const page = z.array(rowSchema).parse((await this.#db.query({ text: SELECT, values: [...from] })).rows);
      const last = page.at(-1);
      if (last === undefined) return;
      from = [last.made, last.id];
      [this.#newest] = from;
      const isNew = page.map((row) => this.#isNew(row));
      this.#forgetBefore(Date.parse(last.ended) - OVERLAP_SECONDS * 1_000);
      yield page.filter((_, at) => isNew[at]).map(resultOf);
      if (page.length < PAGE) return;
    }
  }

  #isNew({ id, made, ended, dead }: z.infer<typeof rowSchema>): boolean {
    const key = `${id} ${made} ${dead}`;
    if (this.#seen.has(key)) return false;
    this.#seen.set(key, Date.parse(ended));
    return true;
  }

  #forgetBefore(time: number): void {
    for (const [key, ended] of this.#seen) if (ended < time) this.#seen.delete(key);
  }
}

function resultOf(row: z.infer<typeof rowSchema>): TailedResult {
  return {
    id: row.id,
    ended: row.ended,
    method: row.method,
    url: row.url,
    status: row.status_code,
    errorCode: row.error_code,
    error: row.error_msg,
    attempts: row.attempts,
    dead: row.dead,
    totalMs: row.total_ms,
  };
}
