import { z } from "zod";

import { toError } from "../base/errors.ts";
import { ownText } from "../base/own-text.ts";
import { hasShortHost } from "../base/url-start.ts";
import { jsonbPairs } from "../pg/jsonb.ts";
import { hostOf } from "./host-settings.ts";
import { hasPlainAuthority, type Lane, laneOf } from "./lane.ts";
import type { Request, RequestOptions } from "./request.ts";

/** What the objects around one request cost in memory, roughly, in bytes. */
const FIXED_BYTES = 512;

/** P5: url and body of a request that is sent, together, in bytes: a larger one would take several times that to read. */
export const LARGEST_BYTES = 64 * 1024 * 1024;
/** P6: the same for its url alone: to parse a longer one takes more than some milliseconds, in which nothing else goes on. */
export const LARGEST_URL_BYTES = 256 * 1024;
/** The same for its headers, as the text of their JSON; and for its options. */
export const LARGEST_HEADERS_BYTES = 256 * 1024;

const LARGEST_INTEGER = 2 ** 31 - 1;
/** Most tries of one request. */
const MOST_ATTEMPTS = 1_000;

/** How much is kept of the url of a request that cannot be sent. */
const SHOWN_CHARACTERS = 1_000;

const keep = z.enum(["all", "headers", "status"]);

/** The arguments of `net.http_request` are integers of PostgreSQL. */
const waitMs = z.int().min(0).max(LARGEST_INTEGER);

const optionsSchema = z.object({
  max_attempts: z.int().min(1).max(MOST_ATTEMPTS).default(1),
  retry_first_ms: waitMs.default(1_000),
  retry_max_ms: waitMs.default(3_600_000),
  max_redirects: z.int().min(0).max(50).optional(),
  keep: keep.default("all"),
});

const rowSchema = z.object({
  id: z.string(),
  method: z.string(),
  url: z.string(),
  /** The text of `jsonb`. */
  headers: z.string().nullable(),
  body: z.instanceof(Buffer).nullable(),
  timeout_milliseconds: z.int().min(0),
  created: z.string(),
  attempts: z.int().min(0).max(MOST_ATTEMPTS).default(0),
  next_attempt_at: z.string().nullable().default(null),
  /** The text of `jsonb`. */
  options: z.string().nullable().default(null),
});

/** The columns of a row by name, as the driver and the decoders give them. */
type Row = Readonly<Record<string, unknown>>;

/** What rows are read with. */
export interface RowContext {
  /** Where the row leaves it open. */
  readonly maxRedirects: number;
  /** Those of this installation. */
  readonly installationMarks: readonly number[];
}

/** A row of the outbox as read: a request, or why it cannot be one. */
export interface OutboxRow {
  readonly request: Request;
  /** Not null where the row was written by hand in a form that cannot be sent: what is wrong with it. */
  readonly defect: string | null;
  /** True for a request that another installation made: it came with a dump that was restored here, or by replication. */
  readonly isForeign: boolean;
  /** Earliest time to send it, by the database's clock and in its words; null is at once. */
  readonly nextAttemptAt: string | null;
  readonly lane: Lane;
  /** The destination as limits know it: the name or address in the url; empty where it cannot be read, which fails when sent. */
  readonly host: string;
  /**
   * Since when it could have been sent, by the database's clock, in milliseconds since 1970: its commit; where that is not known the
   * beginning of its transaction; or when it was due. NaN where that is infinite.
   */
  readonly waitsSince?: number | undefined;
}

/**
 * Reads a row of `net.http_request_queue`, from the stream or from a sweep: both give the same JavaScript types. Never
 * throws for what a direct INSERT can write: such a row has a `defect`, and ends as an error response.
 */
export function readRow(row: Row, context: RowContext, known: KnownOfRow = {}): OutboxRow {
  const lane = known.lane ?? laneOfRow(row);
  const read = known.unread ?? readSafely(row, lane, context, known.committedAt);
  return typeof read === "string" ? defective(row, { lane, defect: read }, context) : read;
}

/** What is known of a row before it is read. */
export interface KnownOfRow {
  readonly lane?: Lane;
  /** Why the database did not give it whole; null where it did. */
  readonly unread?: string | null;
  /** When its transaction was committed; see `OutboxRow.waitsSince`. */
  readonly committedAt?: number | undefined;
}

function readSafely(row: Row, lane: Lane, context: RowContext, committedAt?: number): OutboxRow | string {
  try {
    return readWhole(row, lane, context, committedAt);
  } catch (error) {
    // P11: a parser's message quotes what it parsed.
    return `it cannot be read (${toError(error).name})`;
  }
}

/** P6: its lane may be another host's. */
const NOT_PLAIN =
  "url: must begin with http:// or https://, and its host must end within 2048 characters and have at most 255 beyond ASCII";

/** What is wrong with the row, where something is. */
function readWhole(row: Row, lane: Lane, context: RowContext, committedAt?: number): OutboxRow | string {
  const parsed = rowSchema.safeParse(row);
  if (!parsed.success) return problemsOf(parsed.error, "");
  const { id, method, url, headers, body, timeout_milliseconds, created, attempts, next_attempt_at } = parsed.data;
  const oversize = oversizeOf(parsed.data);
  if (oversize !== null) return oversize;
  const pairs = headers === null || headers === "null" ? [] : jsonbPairs(headers);
  if (pairs === null) return "headers: must be a JSON object of names and values";
  const options = readOptions(parsed.data.options, context);
  if (typeof options === "string") return options;
  const host = hostOf(url);
  if (host === "" ? !hasShortHost(url) : !hasPlainAuthority(url)) return NOT_PLAIN;
  return {
    request: {
      id: BigInt(id),
      method: method.toUpperCase(),
      url,
      headers: pairs,
      body,
      timeoutMs: timeout_milliseconds,
      created,
      attempts,
      options,
      bytes: FIXED_BYTES + contentBytesOf(parsed.data) + sizeOf(pairs),
    },
    defect: null,
    isForeign: isForeign(row, context),
    nextAttemptAt: next_attempt_at,
    lane,
    host,
    waitsSince: committedAt ?? Date.parse(next_attempt_at ?? created),
  };
}

function isForeign({ installation_mark: mark }: Row, { installationMarks }: RowContext): boolean {
  return typeof mark === "number" && !installationMarks.includes(mark);
}

/** P11: names of columns and rules, never a value. */
function problemsOf({ issues }: z.ZodError, within: string): string {
  return issues.map(({ path, message }) => `${[within, ...path].filter(Boolean).join(".")}: ${message}`).join("; ");
}

/** The lane of a streamed row, without reading the rest of it; any where it cannot be read. */
export function laneOfRow({ url, lane }: Row): Lane {
  return typeof url === "string" ? laneOf(url, typeof lane === "string" ? lane : null) : "";
}

function readOptions(text: string | null, context: RowContext): RequestOptions | string {
  if (text === null || text === "null") return plainOptions(context);
  const parsed = optionsSchema.safeParse(JSON.parse(text));
  if (!parsed.success) return problemsOf(parsed.error, "options");
  const options = parsed.data;
  return {
    maxAttempts: options.max_attempts,
    retryFirstMs: options.retry_first_ms,
    retryMaxMs: options.retry_max_ms,
    maxRedirects: options.max_redirects ?? context.maxRedirects,
    keep: options.keep,
  };
}

function plainOptions(context: RowContext): RequestOptions {
  return {
    maxAttempts: 1,
    retryFirstMs: 1_000,
    retryMaxMs: 3_600_000,
    maxRedirects: context.maxRedirects,
    keep: "all",
  };
}

function oversizeOf(row: z.output<typeof rowSchema>): string | null {
  const { url, headers, options } = row;
  if (isOver(LARGEST_URL_BYTES, url)) return OVERSIZE.url;
  if (contentBytesOf(row) > LARGEST_BYTES) return OVERSIZE.content;
  if (headers !== null && isOver(LARGEST_HEADERS_BYTES, headers)) return OVERSIZE.headers;
  return options !== null && isOver(LARGEST_HEADERS_BYTES, options) ? OVERSIZE.options : null;
}

/** A character takes a byte or more. */
function isOver(bytes: number, text: string): boolean {
  return text.length > bytes || Buffer.byteLength(text) > bytes;
}

function contentBytesOf({ url, body }: z.output<typeof rowSchema>): number {
  return Buffer.byteLength(url) + (body?.length ?? 0);
}

/** What is said of a request that is too large. */
export const OVERSIZE = {
  url: `its url is larger than ${LARGEST_URL_BYTES} bytes`,
  content: `its url and body are larger than ${LARGEST_BYTES} bytes`,
  headers: `its headers are larger than ${LARGEST_HEADERS_BYTES} bytes`,
  options: `its options are larger than ${LARGEST_HEADERS_BYTES} bytes`,
} as const;

function sizeOf(pairs: readonly (readonly [string, string])[]): number {
  return pairs.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

const idOnly = z.object({
  id: z.string(),
  created: z.string(),
  method: z.string().catch("GET"),
  url: z.string().catch(""),
});

function defective(row: Row, known: Pick<OutboxRow, "lane" | "defect">, context: RowContext): OutboxRow {
  const { id, created, method, url } = idOnly.parse(row);
  return {
    request: {
      id: BigInt(id),
      method,
      url: ownText(url.slice(0, SHOWN_CHARACTERS), url),
      headers: [],
      body: null,
      timeoutMs: 0,
      created,
      attempts: 0,
      options: plainOptions(context),
      bytes: FIXED_BYTES,
    },
    ...known,
    isForeign: isForeign(row, context),
    nextAttemptAt: null,
    host: hostOf(url),
  };
}
