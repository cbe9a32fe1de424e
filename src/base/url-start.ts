/** Characters of a url that are shown or searched: anybody who may send requests may make one of a gigabyte. */
export const LONGEST_URL = 2_048;

/**
 * P5: the first `longest` characters of `url`, parsed. Null where that is no url, and P11: where it may end before the host does, since what is
 * there may be a user or a password.
 */
export function urlStart(url: string, longest = LONGEST_URL): URL | null {
  const parsed = URL.parse(url.slice(0, longest));
  if (parsed === null || url.length < longest) return parsed;
  return parsed.pathname === "/" && parsed.search === "" && parsed.hash === "" ? null : parsed;
}
