/**
 * SQL for a url as every role may see it: without user and password, without its fragment, and with `***` in place of the values
 * in its query, where keys and tokens are.
 */
export function shownUrl(url: string): string {
  return `case when pg_catalog.strpos(${url}, '?') + pg_catalog.strpos(${url}, '@') + pg_catalog.strpos(${url}, '#') = 0
    then ${url} else pg_catalog.regexp_replace(
      pg_catalog.regexp_replace(pg_catalog.split_part(${url}, '#', 1), ${USER_INFO}, E'\\\\1'), ${VALUE}, E'\\\\1\\\\2***', 'g')
    end`;
}

/** Up to the last @ before the path; the slashes may be missing, or lean back. */
const USER_INFO = String.raw`E'^([^:/?#]*:[/\\\\]*)[^/?#\\\\]*@'`;

/** What follows an = in the query, or is there without a name. */
const VALUE = "'([?&][^=&]*=)[^&]*|([?&])[^&]+'";
