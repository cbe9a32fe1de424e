/**
 * A lane is the queue of one destination in the outbox, or of one caller for that destination. Its key is what stands between
 * `//` and the next `/` of the url, without user information, and the name that the caller gave, if any. It only groups: limits
 * are those of the host in the url.
 */
export type Lane = string;

/** Characters of a lane's key: an index row has a limit of its own, and no url may make an insert fail. */
const LONGEST = 255;

/** Characters of a url that are read, and of a caller's name: however long these are, they need not be unpacked as a whole. */
const LONGEST_URL = 2048;

/** The lane of the row called `row`, in built-in immutable functions: the expression of the indexes in `sql/`, which must be the same. */
export function laneSql(row: string): string {
  const authority = `pg_catalog.split_part(pg_catalog.split_part(pg_catalog.left(${row}.url, ${LONGEST_URL}), '/', 3), '@', -1)`;
  const name = `pg_catalog.left(${row}.lane, ${LONGEST})`;
  return `pg_catalog.left(pg_catalog.lower(${authority} collate "C") || coalesce(' ' || ${name}, ''), ${LONGEST})`;
}

/** The lane of a row, as `laneSql` has it. `name` is its column `lane`. */
export function laneOf(url: string, name: string | null): Lane {
  const authority = lowerAscii(authorityOf(first(LONGEST_URL, url)));
  return first(LONGEST, name === null ? authority : `${authority} ${first(LONGEST, name)}`);
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
  const start = url.indexOf("/", url.indexOf("/") + 1);
  if (start === -1) return "";
  const end = url.indexOf("/", start + 1);
  const authority = url.slice(start + 1, end === -1 ? undefined : end);
  return authority.slice(authority.lastIndexOf("@") + 1);
}

/** As PostgreSQL lowers under the collation "C". */
function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}
