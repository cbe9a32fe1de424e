import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { SenderParts } from "../../src/sending/parts.ts";

/** Memory for answers without end. */
export const UNBOUNDED_ANSWERS: SenderParts["answers"] = { mayStart: () => true, open: () => UNBOUNDED };
