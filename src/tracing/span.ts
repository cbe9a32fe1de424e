import { urlStart } from "../base/url-start.ts";
import type { Outcome } from "../http/outcome.ts";
import type { Request } from "../outbox/request.ts";

/** A W3C traceparent of version 00, or a later one that begins alike: https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

/** A span of somebody else. */
export interface Parent {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** The caller's span, by the header of the request; null without one that can be read. */
export function parentOf({ headers }: Request): Parent | null {
  const value = headers.find(([name]) => name.length === 11 && name.toLowerCase() === "traceparent")?.[1] ?? "";
  const [, traceId, spanId, flags] = TRACEPARENT.exec(value.trim()) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) };
}

/** The header for a span. */
export function traceparentOf({ traceId, spanId, traceFlags }: Parent): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

/** Methods that may stand in a span's name. */
const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);

/** The name of a span: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name */
export function nameOf({ method }: Request): string {
  return METHODS.has(method) ? method : "HTTP";
}

type Attributes = Readonly<Record<string, string | number>>;

/** What is known at the start. P5, P11: the start of the url, without user and password, and with *** in place of its query. */
export function startAttributes(request: Request): Attributes {
  const { id, created, method, attempts } = request;
  const url = urlStart(request.url);
  return {
    "http.request.method": METHODS.has(method) ? method : "_OTHER",
    ...(url === null ? {} : addressOf(url)),
    ...(attempts === 0 ? {} : { "http.request.resend_count": attempts }),
    // Both say which request: ids alone may be given again.
    "pgnetd.request.id": String(id),
    "pgnetd.request.created": created,
  };
}

function addressOf(url: URL): Attributes {
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  const query = url.search === "" ? "" : "?***";
  return {
    "server.address": url.hostname,
    "server.port": port,
    "url.full": `${url.protocol}//${url.host}${url.pathname}${query}`,
  };
}

/** What is known at the end; `error` is why the try failed for a client, null where it did not. */
export function endOf(outcome: Outcome): { readonly attributes: Attributes; readonly error: string | null } {
  if (outcome.kind === "failed") return { attributes: { "error.type": outcome.code }, error: outcome.message };
  const { status } = outcome;
  const attributes = { "http.response.status_code": status };
  if (status < 400) return { attributes, error: null };
  return { attributes: { ...attributes, "error.type": String(status) }, error: "" };
}
