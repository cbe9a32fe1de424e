import pg from "pg";

import { type DatabaseCheck, type DatabaseContext, ok, type Result, warning } from "./check.ts";

/** Judged by so many of the latest results, of this time at most. */
const LATEST_RESULTS = 1_000;
const LATEST_MINUTES = 15;
/** A host with fewer failures is not worth a word. */
const LEAST_FAILED = 5;
const MOST_NAMED = 5;

/** Urls of results have no user. Errors that pgnetd made for lack of its own means are no fault of the host. */
const SELECT = String.raw`
select host, failed, results, code from (
  select host, pg_catalog.count(*)::int4 as results, pg_catalog.count(*) filter (where is_failed)::int4 as failed,
    pg_catalog.mode() within group (order by code) filter (where is_failed) as code
  from (
    select pg_catalog.lower(pg_catalog.substring(d.start, '^https?://(\[[^]]*\]|[^/:?#]+)')) as host, d.error_code as code,
      d.error_code is not null and d.error_code not in ('bad_request', 'no_memory', 'aborted', 'shortage') as is_failed
    from (
      select pg_catalog.left(url, 512) as start, error_code, created
      from net.http_response_detail order by created desc limit ${LATEST_RESULTS}) d
    where d.created > pg_catalog.now() - '${LATEST_MINUTES} minutes'::interval) r
  where host is not null group by host) h
where failed >= ${LEAST_FAILED} and 2 * failed > results order by failed desc, host`;

interface FailingHost {
  readonly host: string;
  readonly failed: number;
  readonly results: number;
  /** Why most of them failed. */
  readonly code: string;
}

/** Whether hosts answer. A dead one is no fault of pgnetd: requests with a single try end with that, and nothing waits. */
export const DESTINATIONS_CHECK: DatabaseCheck = {
  id: "destinations",
  group: "egress",
  stage: "installed",
  needs: ["schema-version"],
  on: "database",
  run: checkDestinations,
};

async function checkDestinations({ db }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<FailingHost & pg.QueryResultRow>({ text: SELECT });
  const [worst] = rows;
  if (worst === undefined)
    return ok(`no host left most of the requests of the last ${LATEST_MINUTES} minutes without an answer`);
  const named = rows
    .slice(0, MOST_NAMED)
    .map(({ host, failed, results, code }) => `${host} (${failed} of ${results}, mostly ${code})`);
  const more = rows.length - named.length;
  const why = isPlainHost(worst.host) ? `see why: pgnetd doctor --only url --url 'https://${worst.host}/'; ` : "";
  return warning(
    `most of the latest requests to these hosts had no answer: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`,
    `${why}what has ended is not sent again. So that requests wait until it is back: ${pause(worst.host)}`,
  );
}

/** Of a url that any role may have sent to: a host may be what a shell reads as a command. */
function isPlainHost(host: string): boolean {
  return /^[a-z0-9._:[\]-]+$/.test(host);
}

function pause(host: string): string {
  const values = `(${pg.escapeLiteral(host)}, true)`;
  return `insert into net.http_host_settings (host, paused) values ${values} on conflict (host) do update set paused = true;`;
}
