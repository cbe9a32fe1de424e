import { ownText } from "./own-text.ts";

/** Characters of a url that are shown or searched: anybody who may send requests may make one of a gigabyte. */
export const LONGEST_URL = 2_048;

/** Characters that a name may have; beyond ASCII, a host with more of them is not found anywhere. */
const LONGEST_NAME = 255;
/** Read to find where the host ends. */
const WINDOW = 2 * LONGEST_URL;

/** What comes before the host, if there is one, and what would be it with user and password. */
const HOST = /^[\0- ]*([a-z][a-z0-9+.-]*:)?([/\\]*)([^/?#\\]*)/i;
/** Those whose urls have names: other hosts are not encoded. */
const OF_NAMES = /^(?:https?|wss?|ftp|file):$/i;

/**
 * P6: true for a url, or the reference to one, that may be parsed: its host, with user and password, ends within 2,048 characters, and has at most
 * 255 beyond ASCII. Those are put in order and encoded in a time that grows with the square of their number, up to a tenth of a second.
 */
export function hasShortHost(url: string): boolean {
  if (url.length <= LONGEST_NAME) return true;
  // Parsers pass over these, wherever they are.
  const start = url.slice(0, WINDOW).replace(/[\t\n\r]/g, "");
  const [found = "", scheme, slashes = "", authority = ""] = HOST.exec(start) ?? [];
  if (scheme !== undefined && !OF_NAMES.test(scheme)) return true;
  const goesOn = url.length > WINDOW && found.length === start.length;
  if (goesOn && (slashes === "" || authority === "" || start.length < WINDOW)) return false;
  if (scheme === undefined && slashes.length < 2) return true;
  if (found.length > LONGEST_URL) return false;
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  return host.length <= LONGEST_NAME || host.replace(/[\0-\x7f]/g, "").length <= LONGEST_NAME;
}

/** P6: the host of `url`, read from its beginning, however long it is; empty where there is none, and where it is too long to be one. */
export function hostnameOf(url: string): string {
  return hasShortHost(url) ? ownText(URL.parse(url.slice(0, WINDOW))?.hostname ?? "", url) : "";
}

/**
 * P5: the first `longest` characters of `url`, parsed. Null where that is no url, and P11: where it may end before the host does, since what is
 * there may be a user or a password.
 */
export function urlStart(url: string, longest = LONGEST_URL): URL | null {
  if (!hasShortHost(url)) return null;
  const parsed = URL.parse(url.slice(0, longest));
  if (parsed === null || url.length < longest) return parsed;
  return parsed.pathname === "/" && parsed.search === "" && parsed.hash === "" ? null : parsed;
}
