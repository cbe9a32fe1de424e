import { headerSize } from "../http/raw-headers.ts";
import type { Ending } from "./completion.ts";

/** What an ending costs beside its content and headers: words, the objects themselves. */
const ENDING_BYTES = 512;
const NO_CONTENT = Buffer.alloc(0);

/** The ending without content that is not stored, so that it is not held either. */
export function keptOf(ending: Ending): Ending {
  const { outcome, request } = ending;
  if (outcome?.kind !== "answered" || outcome.content.length === 0) return ending;
  if (ending.kind === "answered" && request.options.keep === "all") return ending;
  return { ...ending, outcome: { ...outcome, content: NO_CONTENT } };
}

/** Roughly what it takes in memory and in a statement, in bytes. */
export function sizeOf({ outcome }: Ending): number {
  if (outcome?.kind !== "answered") return ENDING_BYTES;
  return ENDING_BYTES + outcome.content.length + headerSize(outcome.headers);
}
