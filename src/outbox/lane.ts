import { ownText } from "../base/own-text.ts";
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
 * The lane of the row called `row`: the expression of the indexes by lane. Its function takes urls as they are mostly written; see
 * `hasPlainAuthority`.
 */
export function laneSql(row: string): string {
  return `(net._lane(${row}.url, ${row}.lane) collate pg_catalog."C")`;
}

/** The lane of a row, as `laneSql` has it. `name` is its column `lane`. */
export function laneOf(url: string, name: string | null): Lane {
  const authority = lowerAscii(authorityOf(url));
  return ownText(first(LONGEST, name === null ? authority : `${authority} ${first(LONGEST, name)}`), url);
}

/** The host that all requests of the lane go to; null where they may go to several, or to none. */
export function hostOfLane(lane: Lane): string | null {
  const authority = authorityOfLane(lane);
  const host = authority === null ? "" : hostOf(`http://${authority}`);
  return host === "" ? null : host;
}

/** The authority that all requests of the lane go to; null where it is longer than a lane can tell. */
export function authorityOfLane(lane: Lane): string | null {
  const end = lane.indexOf(" ");
  const authority = end < 0 ? lane : lane.slice(0, end);
  return authority.length >= LONGEST && Array.from(authority).length >= LONGEST ? null : authority;
}

const PLAIN = /^[\0- ]*https?:\/\/[^/?#\\]*/i;

/**
 * True for a url whose lane is that of its host: it begins with `http://` or `https://`, and its authority ends within the characters
 * that are read. Parsers of urls take others, too (`http:/host/`): these would be in the lane of whatever comes third.
 */
export function hasPlainAuthority(url: string): boolean {
  const length = PLAIN.exec(url)?.[0].length;
  return length !== undefined && length <= LONGEST_URL;
}

/** The first `count` characters, as PostgreSQL counts them. */
function first(count: number, text: string): string {
  return text.length <= count
    ? text
    : Array.from(text.slice(0, 2 * count))
        .slice(0, count)
        .join("");
}

/** What stands between the second and the third of the characters that may end a part. */
const THIRD = /^[^/?#\\]*[/?#\\][^/?#\\]*[/?#\\]([^/?#\\]*)/;

function authorityOf(url: string): string {
  const [, authority = ""] = THIRD.exec(first(LONGEST_URL, url)) ?? [];
  return authority.slice(authority.lastIndexOf("@") + 1);
}

/** As PostgreSQL lowers under the collation "C". */
function lowerAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
}
