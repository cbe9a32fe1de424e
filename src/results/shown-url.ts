/**
 * SQL for a url as every role may see it: without user, password and fragment, and with `***` in place of its query, where keys
 * and tokens are. Regular expressions cost PostgreSQL microseconds, so there is one only where there is an @.
 */
export function shownUrl(url: string): string {
  const place = `pg_catalog.split_part(${url}, '#', 1)`;
  const path = `pg_catalog.split_part(${place}, '?', 1)`;
  return `case when pg_catalog.strpos(${url}, '?') + pg_catalog.strpos(${url}, '@') + pg_catalog.strpos(${url}, '#') = 0 then ${url} else
    case when pg_catalog.strpos(${path}, '@') = 0 then ${path} else pg_catalog.regexp_replace(${path}, ${USER_INFO}, E'\\\\1') end
      || case when pg_catalog.strpos(${place}, '?') = 0 then '' else '?***' end
  end`;
}

/** Up to the last @ before the path; the slashes may be missing, or lean back. */
const USER_INFO = String.raw`E'^([^:/]*:[/\\\\]*)[^/\\\\]*@'`;
