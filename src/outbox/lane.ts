import { hostOf } from "./host-settings.ts";

/**
 * A lane is the queue of one destination in the outbox, or of one caller for that destination. Its key is the authority of the url
 * without user information, and the name that the caller gave, if any. The authority ends where that of a request does, at `/`, `?`,
 * `#` or `\`, so that a key with a host has requests to that host alone. It only groups: limits are those of the host in the url.
 */
export type Lane = string;

/** Characters of a lane's key: an index row has a limit of its own, and no url may make an insert fail. */
const LONGEST = 255;

/** Characters of a url that are read, and of a caller's name: however long these are, they need not be unpacked as a whole. */
const LONGEST_URL = 2048;

/**
 * The lane of the row called `row`, in built-in immutable functions: the expression of the indexes in `sql/`, which must be the same.
 * A url that is not written `http://` or `https://` has no authority here; nor has one whose authority goes on beyond what is read,
 * by the `@` at its end.
 */
export function laneSql(row: string): string {
  const url = `case
    when not pg_catalog.lower(pg_catalog.left(${row}.url, 8) collate "C") like any ('{http://%,https://}') then ''
    when pg_catalog.octet_length(${row}.url) <= ${LONGEST_URL} or pg_catalog.substr(${row}.url, ${LONGEST_URL + 1}, 1) = '' then ${row}.url
    else pg_catalog.left(${row}.url, ${LONGEST_URL}) || '@'
  end`;
  const ends = ["'?'", "'#'", String.raw`E'\\'`];
  const whole = ends.reduce(
    (text, end) => `pg_catalog.split_part(${text}, ${end}, 1)`,
    `pg_catalog.split_part(${url}, '/', 3)`,
  );
  const authority = `pg_catalog.split_part(${whole}, '@', -1)`;
  const name = `pg_catalog.left(${row}.lane, ${LONGEST})`;
  return `pg_catalog.left(pg_catalog.lower(${authority} collate "C") || coalesce(' ' || ${name}, ''), ${LONGEST})`;
}

/** The lane of a row, as `laneSql` has it. `name` is its column `lane`. */
export function laneOf(url: string, name: string | null): Lane {
  const authority = lowerAscii(authorityOf(url));
  return first(LONGEST, name === null ? authority : `${authority} ${first(LONGEST, name)}`);
}

/** The host that all requests of the lane go to; null where they may go to several, or to none. */
export function hostOfLane(lane: Lane): string | null {
  const [authority = ""] = lane.split(" ", 1);
  if (Array.from(authority).length >= LONGEST) return null;
  const host = hostOf(`http://${authority}`);
  return host === "" ? null : host;
}

/** The first `count` characters, as PostgreSQL counts them. */
function first(count: number, text: string): string {
  return text.length <= count
    ? text
    : Array.from(text.slice(0, 2 * count))
        .slice(0, count)
        .join("");
}

function authorityOf(url: string): string {
  const read = first(LONGEST_URL, url);
  const [, authority = ""] = /^https?:\/\/([^/?#\\]*)/i.exec(read === url ? url : `${read}@`) ?? [];
  return authority.slice(authority.lastIndexOf("@") + 1);
}

/** As PostgreSQL lowers under the collation "C". */
function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}
