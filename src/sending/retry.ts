import { backoffMs } from "../base/backoff.ts";
import type { Outcome } from "../http/outcome.ts";
import type { Request } from "../outbox/request.ts";
import type { Completion } from "../results/completion.ts";

/** Statuses worth another try: the server said so, or is likely to answer differently later (RFC 9110, RFC 6585). */
const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Failures that another try meets again. */
const FINAL_FAILURES: ReadonlySet<string> = new Set(["refused_address", "bad_request", "too_large", "redirects"]);

/**
 * What a try's outcome comes to: an answer, another try later, or a dead letter when the tries a caller asked for are
 * used up. Without a retry policy every outcome is an answer, as in pg_net. `chance` is in [0, 1): half of the wait is jitter.
 */
export function completionOf(request: Request, outcome: Outcome, chance: number): Completion {
  if (request.options.maxAttempts === 1 || !isRetried(outcome)) return { kind: "answered", request, outcome };
  if (request.attempts + 1 >= request.options.maxAttempts) return { kind: "dead", request, outcome };
  const { retryFirstMs, retryMaxMs } = request.options;
  const planned = backoffMs(request.attempts, { firstMs: retryFirstMs, maxMs: retryMaxMs });
  const delayMs = Math.max(planned / 2 + (planned / 2) * chance, Math.min(retryAfterMs(outcome), retryMaxMs));
  return { kind: "deferred", request, outcome, delayMs: Math.round(delayMs) };
}

function isRetried(outcome: Outcome): boolean {
  return outcome.kind === "answered" ? RETRIED_STATUS.has(outcome.status) : !FINAL_FAILURES.has(outcome.code);
}

/** `Retry-After` in seconds (RFC 9110, 10.2.3), as milliseconds; 0 without one, or as a date. */
function retryAfterMs(outcome: Outcome): number {
  if (outcome.kind !== "answered") return 0;
  const value = outcome.headers.find(([name]) => name.toLowerCase() === "retry-after")?.[1] ?? "";
  return /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : 0;
}
