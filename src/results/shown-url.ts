import { LONGEST_URL } from "../base/url-start.ts";
import { LARGEST_URL_BYTES } from "../outbox/row.ts";

/**
 * SQL for a url as every role may see it: without user, password and fragment, and with `***` in place of its query, where keys
 * and tokens are. P6: of one that is too large to be sent the beginning, since to read all of it may take seconds. P11: that is nothing where the
 * host may not have begun.
 */
export function shownUrl(url: string): string {
  const start = `pg_catalog.left(${url}, ${LONGEST_URL})`;
  return `case when octet_length(${url}) <= ${LARGEST_URL_BYTES} then ${withoutSecrets(url)}
    when ${start} ~ ${WHOLE_AUTHORITY} then ${withoutSecrets(start)} else '' end`;
}

/** Regular expressions cost PostgreSQL microseconds, so there is one only where there is an @. */
function withoutSecrets(url: string): string {
  const place = `pg_catalog.split_part(${url}, '#', 1)`;
  const path = `pg_catalog.split_part(${place}, '?', 1)`;
  return `case when pg_catalog.strpos(${url}, '?') + pg_catalog.strpos(${url}, '@') + pg_catalog.strpos(${url}, '#') = 0 then ${url} else
    case when pg_catalog.strpos(${path}, '@') = 0 then ${path} else pg_catalog.regexp_replace(${path}, ${USER_INFO}, E'\\\\1') end
      || case when pg_catalog.strpos(${place}, '?') = 0 then '' else '?***' end
  end`;
}

/** Up to the last @ before the path; the slashes may be missing, or lean back. */
const USER_INFO = String.raw`E'^([^:/]*:[/\\\\]*)[^/\\\\]*@'`;

/** What ends where the path, query or fragment begins. */
const WHOLE_AUTHORITY = String.raw`E'^[^:/]*:[/\\\\]*[^/\\\\?#]+[/\\\\?#]'`;
