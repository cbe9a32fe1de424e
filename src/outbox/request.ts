/** What a caller may ask of one request beyond pg_net's arguments; column `options` of the outbox, all absent by default. */
export interface RequestOptions {
  /** Tries in all, the first included; 1 is never to retry. Absent: 1. */
  readonly maxAttempts: number;
  /** Wait before the second try in milliseconds; doubles from try to try. */
  readonly retryFirstMs: number;
  /** Upper bound of the wait between two tries in milliseconds. */
  readonly retryMaxMs: number;
  /** Redirects followed; 0 takes the redirect itself as the answer. */
  readonly maxRedirects: number;
  /** What is kept of the response in `net._http_response`: all, everything but the content, or only the status. */
  readonly keep: "all" | "headers" | "status";
}

/** One committed row of `net.http_request_queue`, parsed. Held in memory within the bounds of `outbox.memory*`. */
export interface Request {
  readonly id: bigint;
  /** Upper case: GET, POST, PUT, PATCH, DELETE, HEAD. */
  readonly method: string;
  readonly url: string;
  /** Header names as the caller wrote them, with their values; in the caller's order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Null sends no body. */
  readonly body: Buffer | null;
  /** From the moment of sending to the last byte of the answer, in milliseconds. */
  readonly timeoutMs: number;
  /** When its row was made, in the database's words: with the id it says which row. Ids alone may be given again after a failover. */
  readonly created: string;
  /** Tries that ended before this one. */
  readonly attempts: number;
  readonly options: RequestOptions;
  /** What the row costs in memory, in bytes: body, url, headers and a fixed share for the objects around them. */
  readonly bytes: number;
}
