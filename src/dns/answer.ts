import type { LookupAddress } from "node:dns";

/**
 * P5, P6: the most addresses of one family. DNS has room for thousands of a name: all would be held in memory, judged, and
 * tried in turn.
 */
export const MOST_ADDRESSES = 16;

/** What one source knows of a name. */
export type Answer =
  | { readonly kind: "found"; readonly addresses: readonly LookupAddress[]; readonly ttlMs: number }
  /** It is sure that there is no such name, or no address of it. */
  | { readonly kind: "unknown" }
  /** It could not say: `code` is the system's or library's own for the reason. */
  | { readonly kind: "failed"; readonly code: string };
