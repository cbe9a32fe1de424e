import { z } from "zod";

import type { Request, RequestOptions } from "./request.ts";

/** What the objects around one request cost in memory, roughly, in bytes. */
const FIXED_BYTES = 512;

/** P5: url and body of a request that is sent, together, in bytes: a larger one would take several times that to read. */
export const LARGEST_BYTES = 64 * 1024 * 1024;
/** The same for its headers. */
export const LARGEST_HEADERS_BYTES = 256 * 1024;

/** One more than these is still an integer of PostgreSQL. */
const MOST_ATTEMPTS = 2 ** 31 - 2;

/** Of the url of a request that cannot be sent, so much is kept. */
const SHOWN_CHARACTERS = 1_000;

const keep = z.enum(["all", "headers", "status"]);

const optionsSchema = z.object({
  max_attempts: z.int().min(1).max(1_000).default(1),
  retry_first_ms: z.int().min(0).default(1_000),
  retry_max_ms: z.int().min(0).default(3_600_000),
  max_redirects: z.int().min(0).max(50).optional(),
  keep: keep.default("all"),
});

const rowSchema = z.object({
  id: z.string(),
  method: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.unknown()).nullable(),
  body: z.instanceof(Buffer).nullable(),
  timeout_milliseconds: z.int(),
  created: z.string(),
  attempts: z.int().default(0),
  next_attempt_at: z.string().nullable().default(null),
  options: optionsSchema.nullable().default(null),
  /** Set by a sweep in place of what is too large to be read: which part that is. */
  oversize: z.string().nullable().default(null),
});

/** Values for what a row leaves open. */
export interface RowDefaults {
  readonly maxRedirects: number;
}

/** A row of the outbox as read: a request, or why it cannot be one. */
export interface OutboxRow {
  readonly request: Request;
  /** Not null where the row was written by hand in a form that cannot be sent: what is wrong with it. */
  readonly defect: string | null;
  /** Earliest time to send it, by the database's clock and in its words; null is at once. */
  readonly nextAttemptAt: string | null;
}

/**
 * Reads a row of `net.http_request_queue`, from the stream or from a sweep: both give the same JavaScript types. Never
 * throws for what a direct INSERT can write: such a row has a `defect`, and ends as an error response.
 */
export function readRow(row: unknown, defaults: RowDefaults): OutboxRow {
  const parsed = rowSchema.safeParse(row);
  if (!parsed.success) return defective(row, z.prettifyError(parsed.error), defaults);
  const { id, method, url, headers, body, timeout_milliseconds, created, attempts, next_attempt_at, options } =
    parsed.data;
  const pairs = headerPairs(headers);
  if (pairs === null) return defective(row, "its headers are nested too deeply", defaults);
  const sizes = { content: url.length + (body?.length ?? 0), headers: sizeOf(pairs) };
  const oversize = parsed.data.oversize ?? oversizeOf(sizes);
  if (oversize !== null) return defective(row, oversize, defaults);
  return {
    request: {
      id: BigInt(id),
      method: method.toUpperCase(),
      url,
      headers: pairs,
      body,
      timeoutMs: timeout_milliseconds,
      created,
      attempts: Math.min(attempts, MOST_ATTEMPTS),
      options: readOptions(options, defaults),
      bytes: FIXED_BYTES + sizes.content + sizes.headers,
    },
    defect: null,
    nextAttemptAt: next_attempt_at,
  };
}

type ParsedOptions = z.infer<typeof optionsSchema> | null;

function readOptions(options: ParsedOptions, defaults: RowDefaults): RequestOptions {
  if (options === null) return plainOptions(defaults);
  return {
    maxAttempts: options.max_attempts,
    retryFirstMs: options.retry_first_ms,
    retryMaxMs: options.retry_max_ms,
    maxRedirects: options.max_redirects ?? defaults.maxRedirects,
    keep: options.keep,
  };
}

function plainOptions(defaults: RowDefaults): RequestOptions {
  return {
    maxAttempts: 1,
    retryFirstMs: 1_000,
    retryMaxMs: 3_600_000,
    maxRedirects: defaults.maxRedirects,
    keep: "all",
  };
}

function oversizeOf(sizes: { readonly content: number; readonly headers: number }): string | null {
  if (sizes.content > LARGEST_BYTES) return OVERSIZE.content;
  return sizes.headers > LARGEST_HEADERS_BYTES ? OVERSIZE.headers : null;
}

/** What is said of a request that is too large. */
export const OVERSIZE = {
  content: `its url and body are larger than ${LARGEST_BYTES} bytes`,
  headers: `its headers are larger than ${LARGEST_HEADERS_BYTES} bytes`,
  options: `its options are larger than ${LARGEST_HEADERS_BYTES} bytes`,
} as const;

/** As `jsonb_each_text` has it: strings as they are, null left out, everything else as JSON. Null where that cannot be written. */
function headerPairs(headers: Readonly<Record<string, unknown>> | null): readonly (readonly [string, string])[] | null {
  if (headers === null) return [];
  try {
    return Object.entries(headers)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)] as const);
  } catch (error) {
    // JSON.parse reads any depth, JSON.stringify does not write it.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function sizeOf(pairs: readonly (readonly [string, string])[]): number {
  return pairs.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

const idOnly = z.object({
  id: z.string(),
  created: z.string(),
  method: z.string().catch("GET"),
  url: z.string().catch(""),
});

function defective(row: unknown, defect: string, defaults: RowDefaults): OutboxRow {
  const { id, created, method, url } = idOnly.parse(row);
  return {
    request: {
      id: BigInt(id),
      method,
      url: url.slice(0, SHOWN_CHARACTERS),
      headers: [],
      body: null,
      timeoutMs: 0,
      created,
      attempts: 0,
      options: plainOptions(defaults),
      bytes: FIXED_BYTES,
    },
    defect,
    nextAttemptAt: null,
  };
}
