import { unescape } from "node:querystring";
import { type Dispatcher } from "undici";
import { type Request } from "../outbox/request.ts";
import { type Failure, badRequest } from "./failure.ts";

/** A request as it goes to one address: checked, completed, ready for the wire. */
export interface Outgoing {
  readonly url: URL;
  readonly method: string;
  readonly body: Buffer | null;
  /** Names and values in turn; without the headers that the connection sets itself. */
  readonly headers: string[];
  /** True when the caller asked for the connection to be closed. */
  readonly close: boolean;
  /** True where `headers` have an Idempotency-Key that is pgnetd's, not the caller's. */
  readonly ownIdempotencyKey: boolean;
}

/** What pgnetd adds where the caller set nothing. */
export interface Additions {
  readonly userAgent: string;
  /** Value of Idempotency-Key; null adds none. */
  readonly idempotencyKey: string | null;
  /** Value of traceparent, in place of the caller's; without it the caller's is sent as any other header. */
  readonly traceparent?: string | undefined;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex -- control characters are what it searches for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
// eslint-disable-next-line no-control-regex -- separates ASCII from the rest
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Headers of one connection, not of the request: the connection sets its own, and the body's true length. */
const OF_THE_CONNECTION = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Checks `request` and completes it as curl does in pg_net: `Accept` and `User-Agent` unless the caller set them, userinfo
 * of the url as Basic authorization, and a header with an empty value is not sent but takes away what would be added.
 * GET and HEAD never carry a body.
 */
export function outgoing(request: Request, additions: Additions): Outgoing | Failure {
  if (!TOKEN.test(request.method) || request.method === "CONNECT" || request.method === "TRACE")
    return badRequest("unsupported request method");
  if (request.timeoutMs < 0) return badRequest(`timeout_milliseconds must not be negative, got ${request.timeoutMs}`);
  const url = URL.parse(request.url);
  if (url === null) return badRequest("URL using bad/illegal format or missing URL");
  if (url.protocol !== "http:" && url.protocol !== "https:") return badRequest("Unsupported protocol");
  const headers: string[] = [];
  const seen = { host: false, accept: false, userAgent: false, authorization: false, idempotencyKey: false };
  let close = false;
  for (const [name, value] of request.headers) {
    if (!TOKEN.test(name)) return badRequest(`invalid header name "${printable(name)}"`);
    if (CONTROL.test(value))
      return badRequest(`header "${printable(name)}" contains a carriage return, line feed or other control character`);
    const lower = name.toLowerCase();
    if (OF_THE_CONNECTION.has(lower)) {
      close ||= lower === "connection" && /\bclose\b/i.test(value);
      continue;
    }
    if (lower === "host") {
      if (seen.host) continue;
      seen.host = true;
    } else if (lower === "accept") seen.accept = true;
    else if (lower === "user-agent") seen.userAgent = true;
    else if (lower === "authorization") seen.authorization = true;
    else if (lower === "idempotency-key") seen.idempotencyKey = true;
    else if (lower === "traceparent" && additions.traceparent !== undefined) continue;
    if (value.trim() !== "")
      headers.push(name, BEYOND_ASCII.test(value) ? Buffer.from(value).toString("latin1") : value);
  }
  if (!seen.userAgent) headers.push("User-Agent", additions.userAgent);
  if (!seen.accept) headers.push("Accept", "*/*");
  if (additions.traceparent !== undefined) headers.push("traceparent", additions.traceparent);
  const ownIdempotencyKey = !seen.idempotencyKey && additions.idempotencyKey !== null;
  if (ownIdempotencyKey) headers.push("Idempotency-Key", additions.idempotencyKey);
  if (!seen.authorization) pushAuthorization(headers, url);
  const bodiless = request.method === "GET" || request.method === "HEAD";
  const body = bodiless ? null : request.body;
  return { url, method: request.method, body, headers, close, ownIdempotencyKey };
}

/** The same in undici's terms; `close` closes the connection afterwards. */
export function dispatchOptions({ url, method, body, headers }: Outgoing, close: boolean): Dispatcher.DispatchOptions {
  const options: Dispatcher.DispatchOptions & { readonly servername: string } = {
    origin: url.origin,
    path: url.pathname + url.search,
    method,
    headers,
    body,
    // Otherwise undici uses the Host header, and opens a new connection whenever that differs from the last one's.
    servername: url.hostname,
  };
  if (close) options.reset = true;
  return options;
}

/** Adds the Authorization header that the userinfo of `url` asks for, if any. */
export function pushAuthorization(headers: string[], url: URL): void {
  if (url.username === "" && url.password === "") return;
  const userinfo = Buffer.from(`${unescape(url.username)}:${unescape(url.password)}`);
  headers.push("Authorization", `Basic ${userinfo.toString("base64")}`);
}

/** A header name fit for a message: it may be anything, so short and without control characters. */
function printable(name: string): string {
  return name.slice(0, 64).replace(/[^\x20-\x7e]/g, "?");
}
