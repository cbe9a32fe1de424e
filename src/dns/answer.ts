import type { LookupAddress } from "node:dns";

/** So many addresses of one family are taken. */
const MOST_ADDRESSES = 16;

/** What one source knows of a name. */
export type Answer =
  | { readonly kind: "found"; readonly addresses: readonly LookupAddress[]; readonly ttlMs: number }
  /** It is sure that there is no such name, or no address of it. */
  | { readonly kind: "unknown" }
  /** It could not say: `code` is the system's or library's own for the reason. */
  | { readonly kind: "failed"; readonly code: string };

/**
 * P5, P6: the first addresses of each family, in their order. DNS has room for thousands of a name: all would be held in memory,
 * judged, and tried in turn.
 */
export function firstOf(answer: Answer): Answer {
  if (answer.kind !== "found" || answer.addresses.length <= MOST_ADDRESSES) return answer;
  const { addresses } = answer;
  const first = new Set(
    [4, 6].flatMap((of) => addresses.filter(({ family }) => family === of).slice(0, MOST_ADDRESSES)),
  );
  return { ...answer, addresses: addresses.filter((address) => first.has(address)) };
}
