/** Bounds of the memory for answers. */
export interface AnswerBounds {
  /** Bytes of all answers together. */
  readonly bytes: number;
  /** Largest content of one answer, as received and as decoded, in bytes. */
  readonly largest: number;
  /** Most requests in flight. */
  readonly inFlight: number;
  /** Most requests in memory, those that are answered and not stored yet among them. */
  readonly requests: number;
}

/** What an answer costs beside its content, in bytes: its request, the outcome, and what goes with them. */
export const FIXED_BYTES = 4_096;
/** Of the requests in memory, as many may be answered and not stored: the others leave room for further ones. */
const MOST_ANSWERED = 3 / 4;
const LEAST_SMALL = 4_096;
const MOST_SMALL = 65_536;

/** How the memory is divided, in bytes. */
export interface AnswerParts {
  /** What each request in flight may receive without asking, and decode to. */
  readonly small: number;
  /** What all destinations share, beside that, beside one largest answer being received and one being decoded. */
  readonly shared: number;
  /** What a whole answer counts beside its content: more than it takes, where few requests fit into memory. */
  readonly fixed: number;
}

/** P5: divides the bounds, so that all parts together never exceed them. */
export function answerParts({ bytes, largest, inFlight, requests }: AnswerBounds): AnswerParts {
  const small = Math.max(LEAST_SMALL, Math.min(MOST_SMALL, Math.floor(bytes / 16 / inFlight) - FIXED_BYTES));
  const shared = Math.max(0, bytes - 2 * largest - inFlight * (2 * small + FIXED_BYTES));
  return { small, shared, fixed: Math.max(FIXED_BYTES, Math.ceil(shared / (requests * MOST_ANSWERED))) };
}

/** An answer that waits for memory. */
export interface AnswerWaiter {
  /** Called when it may go on. */
  goOn(): void;
}

/** The memory of one answer, from the start of its request until it is stored. */
export interface AnswerMemory {
  /**
   * This many bytes have been received in all, of `expected` where that is known. False where the answer has to wait: nothing
   * more should be received until the waiter may go on, which is never called from within this.
   */
  received(bytes: number, expected: number | null, waiter: AnswerWaiter): boolean;
  /** What was received so far is not kept: another response follows. */
  restart(): void;
  /** Bytes that the decoded content may take now; at most `most`, at least a little. */
  spare(most: number): number;
  /** The waiter may go on when the content may be decoded to the largest size: one answer at a time may. */
  decodeInTurn(waiter: AnswerWaiter): void;
  /** The answer is whole, takes this many bytes, and waits to be written. Called again, with less, where less of it is kept. */
  finish(bytes: number): void;
  /** It cannot be written for now, for its own row's sake: that is locked by another session. */
  block(): void;
  /** It is stored, or nobody wants it any more. */
  release(): void;
  /** Milliseconds it has waited for memory so far. */
  readonly waitedMs: number;
  /** Milliseconds since this answer waits and none of its destination has got on; 0 where it does not wait. */
  readonly stuckMs: number;
}

/** The memory of an answer that nobody bounds. */
export const UNBOUNDED: AnswerMemory = {
  received: () => true,
  restart: () => undefined,
  spare: (most) => most,
  decodeInTurn: (waiter) => queueMicrotask(() => waiter.goOn()),
  finish: () => undefined,
  block: () => undefined,
  release: () => undefined,
  waitedMs: 0,
  stuckMs: 0,
};
