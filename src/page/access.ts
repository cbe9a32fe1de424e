import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

/** Why a request of a browser is refused; null where it is not. */
export type Refusal = string | null;

/**
 * Names are refused unless they are known: a site whose own name points at this address would otherwise read the page as its own
 * (DNS rebinding). An address, and `localhost`, are nobody's.
 */
export function refusedHost({ host = "" }: IncomingHttpHeaders, names: readonly string[]): Refusal {
  const name = URL.parse(`http://${host}`)?.hostname ?? "";
  const isKnown = name === "localhost" || name.endsWith(".localhost") || names.includes(name);
  if (isKnown || isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0) return null;
  return "the page is not served under this name; page.hosts (PGNETD_PAGE_HOSTS) says which it may be opened under";
}

/** Other sites may neither watch nor search: what they cannot read would still cost the database statements. */
export function refusedSite(headers: IncomingHttpHeaders): Refusal {
  const site = headers["sec-fetch-site"];
  const isOwn = site === undefined || site === "same-origin" || site === "none";
  return isOwn && isSameOrigin(headers) ? null : "only the page itself may ask for this";
}

/** Only the page itself may act, or a program that is no browser. */
export function refusedAction(headers: IncomingHttpHeaders, token: string | null): Refusal {
  if (headers["sec-fetch-site"] === "none") return "only the page itself may act";
  const refused = refusedSite(headers);
  if (refused !== null) return refused;
  if (token === null) return "no actions: page.token (PGNETD_PAGE_TOKEN) is not set";
  const given = /^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
  return isEqual(given, token) ? null : "the token is not the one that is set";
}

function isSameOrigin({ origin, host }: IncomingHttpHeaders): boolean {
  return origin === undefined || URL.parse(origin)?.host === URL.parse(`http://${host}`)?.host;
}

/** In the same time whatever differs, and however long they are. */
function isEqual(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
