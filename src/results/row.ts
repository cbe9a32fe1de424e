import { decodeContent } from "../http/decode.ts";
import type { Outcome } from "../http/outcome.ts";
import type { Request } from "../outbox/request.ts";

type Pairs = readonly (readonly [name: string, value: string])[];

/** What one outcome is in `net._http_response` and `net.http_response_detail`; JSON as text. */
export interface ResponseRow {
  readonly id: bigint;
  readonly statusCode: number | null;
  readonly contentType: string | null;
  readonly headers: string | null;
  /** In UTF-8. */
  readonly content: Buffer | null;
  readonly timedOut: boolean;
  readonly errorMsg: string | null;
  readonly attempts: number;
  readonly errorCode: string | null;
  readonly totalMs: number;
  readonly dnsMs: number;
  readonly connectMs: number;
  readonly exchangeMs: number;
  /** All pairs in order, where `headers` cannot show them: a name came twice. */
  readonly responseHeaders: string | null;
  /** The content, where it is not text, or its text lost something. */
  readonly contentBytes: Buffer | null;
}

/** The rows for one try's outcome. As with pg_net an empty content is null, and a failure has its message alone. */
export function rowOf(request: Request, outcome: Outcome): ResponseRow {
  const { timings } = outcome;
  const wasTried = outcome.kind === "answered" || outcome.code !== "other_installation";
  const common = {
    id: request.id,
    attempts: request.attempts + (wasTried ? 1 : 0),
    totalMs: timings.totalMs,
    dnsMs: timings.dnsMs,
    connectMs: timings.connectMs,
    exchangeMs: timings.exchangeMs,
  };
  if (outcome.kind === "failed") {
    return {
      ...common,
      ...NO_ANSWER,
      timedOut: outcome.code === "timeout",
      errorMsg: storable(outcome.message),
      errorCode: outcome.code,
    };
  }
  const { keep } = request.options;
  if (keep === "status") return { ...common, ...NO_ANSWER, statusCode: outcome.status };
  const answer = {
    ...common,
    ...NO_ANSWER,
    statusCode: outcome.status,
    ...headerColumns(outcome.headers, outcome.contentType),
  };
  if (keep === "headers" || outcome.content.length === 0) return answer;
  const { text, lossless } = decodeContent(outcome.content, outcome.contentType);
  return { ...answer, content: text, contentBytes: lossless ? null : outcome.content };
}

/** The row for an answer that the database refused to store: `reason` in its place. */
export function unstorableRow(request: Request, outcome: Outcome, reason: string): ResponseRow {
  const what = outcome.kind === "answered" ? `The answer (status ${outcome.status})` : "The failure";
  return {
    ...rowOf(request, {
      kind: "failed",
      code: "bad_reply",
      message: "",
      maybeReceived: true,
      timings: outcome.timings,
    }),
    errorMsg: storable(`${what} could not be stored: ${reason}`),
    errorCode: "unstorable",
  };
}

const NO_ANSWER = {
  statusCode: null,
  contentType: null,
  headers: null,
  content: null,
  timedOut: false,
  errorMsg: null,
  errorCode: null,
  responseHeaders: null,
  contentBytes: null,
} as const;

function headerColumns(
  pairs: Pairs,
  contentType: string | null,
): Pick<ResponseRow, "contentType" | "headers" | "responseHeaders"> {
  // fromEntries sets own properties, `__proto__` too, and the last of repeated names stands.
  const byName = Object.fromEntries(pairs);
  const repeated = Object.keys(byName).length < pairs.length;
  return {
    contentType: contentType === null ? null : storable(contentType),
    headers: storableJson(JSON.stringify(byName)),
    responseHeaders: repeated ? storableJson(JSON.stringify(pairs)) : null,
  };
}

/** PostgreSQL's text holds any character but NUL. */
function storable(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\uFFFD") : text;
}

/** `jsonb` holds neither NUL nor a lone surrogate: both stand as escapes in what `JSON.stringify` gives. */
function storableJson(json: string): string {
  if (!json.includes("\\u")) return json;
  return json.replaceAll(/(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g, "$1\uFFFD");
}
