import { isUtf8 } from "node:buffer";
import type { Request } from "../outbox/request.ts";
import type { HttpClient, SendExtras } from "./client.ts";
import type { Outcome, Timings } from "./outcome.ts";
import { type Outgoing, outgoing } from "./outgoing.ts";

/** What the capturing client needs. */
export interface CaptureOptions {
  /** `User-Agent` of requests that set none. */
  readonly userAgent: string;
  /** A body that makes the recorded content larger than this, in bytes, is left out of it. */
  readonly maxResponseBytes: number;
}

const NO_TIME: Timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };

/** So that a recorded answer can be distinguished from a received one. */
const HEADERS = [
  ["Content-Type", "application/json"],
  ["X-Pgnetd-Mode", "capture"],
] as const;

/**
 * A client that sends nothing: no name is looked up, no connection is made. Each request that could be sent is answered
 * with status 200 and itself as JSON; one that could not ends with the same error as when sending.
 */
export function openCaptureClient({ userAgent, maxResponseBytes }: CaptureOptions): HttpClient {
  return {
    send: (request, headers) => Promise.resolve(capture(request, headers)),
    expire: () => false,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };

  function capture(request: Request, { idempotencyKey }: SendExtras): Outcome {
    const sent = outgoing(request, { userAgent, idempotencyKey });
    if ("message" in sent) return { kind: "failed", ...sent, maybeReceived: false, timings: NO_TIME };
    const content = Buffer.from(contentOf(sent, maxResponseBytes));
    return {
      kind: "answered",
      status: 200,
      headers: HEADERS,
      contentType: "application/json",
      content,
      timings: NO_TIME,
    };
  }
}

function contentOf({ url, method, headers, body }: Outgoing, maxBytes: number): string {
  const head = { method, url: url.origin + url.pathname + url.search, headers: byName(headers) };
  if (body === null || body.length <= maxBytes) {
    const whole = JSON.stringify({ ...head, ...bodyFields(body) });
    if (body === null || Buffer.byteLength(whole) <= maxBytes) return whole;
  }
  return JSON.stringify({ ...head, body: null, body_omitted_bytes: body.length });
}

function byName(headers: readonly string[]): Readonly<Record<string, string>> {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    // On the wire a value is bytes, which undici takes as latin1.
    pairs.push([headers[at] ?? "", Buffer.from(headers[at + 1] ?? "", "latin1").toString()]);
  }
  return Object.fromEntries(pairs);
}

/** As text where it is text that `jsonb` can hold, else in base64. */
function bodyFields(body: Buffer | null): Readonly<Record<string, string | null>> {
  if (body === null) return { body: null };
  return isUtf8(body) && !body.includes(0)
    ? { body: body.toString() }
    : { body: null, body_base64: body.toString("base64") };
}
