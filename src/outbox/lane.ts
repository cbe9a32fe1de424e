/**
 * A lane is the queue of one destination in the outbox, or of one caller for that destination. Its key is what stands between
 * `//` and the next `/` of the url, without user information, and the name that the caller gave, if any. It only groups: limits
 * are those of the host in the url.
 */
export type Lane = string;

/** Characters of a lane's key: an index row has a limit of its own, and no url may make an insert fail. */
const LONGEST = 255;

/** The lane of the row called `row`, in built-in immutable functions: the expression of the indexes in `sql/`, which must be the same. */
export function laneSql(row: string): string {
  return `pg_catalog.left(pg_catalog.lower(
    pg_catalog.split_part(pg_catalog.split_part(${row}.url, '/', 3), '@', -1) collate "C") || coalesce(' ' || ${row}.lane, ''), ${LONGEST})`;
}

/** The lane of a row, as `laneSql` has it. `name` is its column `lane`. */
export function laneOf(url: string, name: string | null): Lane {
  const authority = lowerAscii(authorityOf(url));
  const key = name === null ? authority : `${authority} ${name}`;
  return key.length <= LONGEST ? key : Array.from(key).slice(0, LONGEST).join("");
}

function authorityOf(url: string): string {
  const scheme = url.indexOf("/");
  const start = scheme === -1 ? -1 : url.indexOf("/", scheme + 1);
  if (start === -1) return "";
  const end = url.indexOf("/", start + 1);
  const authority = url.slice(start + 1, end === -1 ? undefined : end);
  return authority.slice(authority.lastIndexOf("@") + 1);
}

/** As PostgreSQL lowers under the collation "C". */
function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}
