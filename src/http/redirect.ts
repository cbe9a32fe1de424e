import { isUtf8 } from "node:buffer";
import { hasShortHost } from "../base/url-start.ts";
import { type Failure } from "./failure.ts";
import { type Outgoing, pushAuthorization } from "./outgoing.ts";

const FOLLOWED = new Set([300, 301, 302, 303, 307, 308]);
/** The last three are known to curl as ordinary headers: it sends them on. */
const CREDENTIALS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "cookie2",
  "apikey",
  "x-api-key",
  "x-auth-token",
]);

/** True for a status that sends the client elsewhere. */
export function isRedirect(status: number): boolean {
  return FOLLOWED.has(status);
}

/**
 * Where a redirect leads, of names and values in turn: the first Location that is not empty, as curl has it; null without one. Where it is not
 * UTF-8 its bytes go on as they are, percent-encoded: a url of those characters would have others.
 */
export function findLocation(raw: readonly Buffer[]): string | null {
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name, value] = [raw[at], raw[at + 1]];
    if (name?.length !== LOCATION.length || name.toString("latin1").toLowerCase() !== LOCATION || !value) continue;
    const text = value.toString("latin1");
    if (text.trim() === "") continue;
    return isUtf8(value) ? value.toString() : text.replace(/[\x80-\xff]/g, percentEncoded);
  }
  return null;
}

const LOCATION = "location";

function percentEncoded(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`;
}

/**
 * The request that a redirect asks for, as curl makes it: 301 and 302 turn POST into GET, 303 all but HEAD, others keep
 * method and body. Credentials, and an Idempotency-Key that the caller did not set, are left out for good as soon as scheme,
 * host or port change.
 */
export function follow(status: number, location: string, from: Outgoing): Outgoing | Failure {
  const url = hasShortHost(location) ? URL.parse(location, from.url.href) : null;
  if (url === null) return refused("URL using bad/illegal format or missing URL");
  if (url.protocol !== "http:" && url.protocol !== "https:") return refused("Unsupported protocol");
  const toGet =
    (status === 303 && from.method !== "HEAD") || ((status === 301 || status === 302) && from.method === "POST");
  const elsewhere = url.origin !== from.url.origin;
  const headers: string[] = [];
  for (let at = 0; at + 1 < from.headers.length; at += 2) {
    const name = from.headers[at] ?? "";
    const lower = name.toLowerCase();
    if (toGet && lower.startsWith("content-")) continue;
    if (elsewhere && (lower === "host" || CREDENTIALS.has(lower))) continue;
    if (elsewhere && from.ownIdempotencyKey && lower === "idempotency-key") continue;
    headers.push(name, from.headers[at + 1] ?? "");
  }
  if (elsewhere) pushAuthorization(headers, url);
  return {
    ...from,
    url,
    method: toGet ? "GET" : from.method,
    body: toGet ? null : from.body,
    headers,
    ownIdempotencyKey: from.ownIdempotencyKey && !elsewhere,
  };
}

function refused(message: string): Failure {
  return { code: "redirects", message, detail: null };
}
