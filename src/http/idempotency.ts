import type { Request } from "../outbox/request.ts";

/** Methods that a destination may not repeat without harm, or that callers ask to be marked all the same. */
const MARKED: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/**
 * P3: `Idempotency-Key` of a request, the same on every repeat, over restarts and failover
 * (draft-ietf-httpapi-idempotency-key-header). Null for methods without one.
 */
export function idempotencyKey(installation: string, request: Request): string | null {
  return MARKED.has(request.method) ? `${installation}-${request.id}` : null;
}
