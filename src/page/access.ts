import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { BlockList, isIP } from "node:net";
import type { Config } from "../config/settings.ts";

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

/** `forbidden` where no token would help; `token-missing` and `token-wrong` are answered with the question for one. */
export type ReadRefusal = "forbidden" | "token-missing" | "token-wrong" | null;

/**
 * Who may read: connections from this machine and, where the page is open, any, until there is a token for reading; and whoever gives
 * that or the one for actions: as the password that a browser asks for, or as a program gives it.
 */
export function refusedReader(
  { authorization }: IncomingHttpHeaders,
  from: string,
  { open, readToken, token }: Config["page"],
): ReadRefusal {
  if (readToken === null && (open || isLoopback(from))) return null;
  const tokens = [readToken, token].filter((one) => one !== null);
  if (tokens.length === 0) return "forbidden";
  if (authorization === undefined) return "token-missing";
  const given = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? passwordOf(authorization);
  return tokens.map((one) => isEqual(given, one)).includes(true) ? null : "token-wrong";
}

/** RFC 7617: base64 of the user, a colon and the password. */
function passwordOf(authorization: string): string {
  const encoded = /^Basic (\S+)$/i.exec(authorization)?.[1] ?? "";
  return /^[^:]*:(.*)$/.exec(Buffer.from(encoded, "base64").toString("utf8"))?.[1] ?? "";
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && LOOPBACK.check(address, family === 4 ? "ipv4" : "ipv6");
}

function isSameOrigin({ origin, host }: IncomingHttpHeaders): boolean {
  return origin === undefined || URL.parse(origin)?.host === URL.parse(`http://${host}`)?.host;
}

/** In the same time whatever differs, and however long they are. */
function isEqual(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
