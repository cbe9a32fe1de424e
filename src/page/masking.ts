import { textStart } from "../base/text-start.ts";
import { LONGEST_URL, urlStart } from "../base/url-start.ts";
import { MASK, redact } from "../config/redact.ts";
import type { Config } from "../config/settings.ts";

/** How much of urls is shown. */
export type ShownUrls = Config["page"]["urls"];

/** P11: the first `longest` characters of `url` without user, password, query and fragment; of its path only that there is one, unless paths are shown. */
export function shownUrl(url: string, urls: ShownUrls, longest = LONGEST_URL): string {
  const parsed = urlStart(url, longest);
  if (parsed === null || parsed.host === "") return MASK;
  const { protocol, host, pathname, search } = parsed;
  const origin = `${protocol}//${host}`;
  if (urls === "path") return `${origin}${pathname}${search === "" ? "" : `?${MASK}`}`;
  return pathname === "/" && search === "" ? `${origin}/` : `${origin}/${MASK}`;
}

/** P11: the start of a message, which may quote urls, with these shown as above; what follows one up to the next blank counts as its part. */
export function shownText(text: string, urls: ShownUrls): string {
  return redact(textStart(text)).replace(/(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*:\/\/\S+/gi, (url) => shownUrl(url, urls));
}

/** What of a searched prefix is compared: no more than what is shown, so that no search can guess what is not. */
export function searchedPrefix(text: string, urls: ShownUrls): string {
  const [, origin = "", rest = ""] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#\s]*)(.*)$/i.exec(text) ?? [];
  const isWhole = rest !== "";
  const prefix = `${origin.toLowerCase()}${isWhole ? "/" : ""}`;
  return urls === "path" && rest.startsWith("/") ? origin.toLowerCase() + (/^[^?#]*/.exec(rest)?.[0] ?? "") : prefix;
}
