import { headerSize } from "../http/raw-headers.ts";
import type { Completion } from "./completion.ts";

/** What a completion costs beside its content and headers: words, the objects themselves. */
const FIXED_BYTES = 512;
const NO_CONTENT = Buffer.alloc(0);

/** The completion without content that is not stored, so that it is not held either. */
export function keptOf(completion: Completion): Completion {
  const { outcome, request } = completion;
  if (outcome?.kind !== "answered" || outcome.content.length === 0) return completion;
  if (completion.kind === "answered" && request.options.keep === "all") return completion;
  return { ...completion, outcome: { ...outcome, content: NO_CONTENT } };
}

/** Roughly what it takes in memory and in a statement, in bytes. */
export function sizeOf({ outcome }: Completion): number {
  if (outcome?.kind !== "answered") return FIXED_BYTES;
  return FIXED_BYTES + outcome.content.length + headerSize(outcome.headers);
}
