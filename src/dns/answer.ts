import type { LookupAddress } from "node:dns";

/** What one source knows of a name. */
export type Answer =
  | { readonly kind: "found"; readonly addresses: readonly LookupAddress[]; readonly ttlMs: number }
  /** It is sure that there is no such name, or no address of it. */
  | { readonly kind: "unknown" }
  /** It could not say: `code` is the system's or library's own for the reason. */
  | { readonly kind: "failed"; readonly code: string };
