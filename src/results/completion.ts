import type { Outcome } from "../http/outcome.ts";
import type { AnswerMemory } from "../limits/answer-memory.ts";
import type { Request } from "../outbox/request.ts";
import type { Inserter } from "../pg/snapshot.ts";

/** How one try of a request ends in the database. */
export type Completion =
  /** A row in `net._http_response`; the outbox row goes (P10). */
  | { readonly kind: "answered"; readonly request: Request; readonly outcome: Outcome }
  /** All tries are used up, or another installation made it: the whole request goes to `net.http_dead_letter`; the outbox row goes. */
  | { readonly kind: "dead"; readonly request: Request; readonly outcome: Outcome }
  /** The row stays and waits: `next_attempt_at` is set `delayMs` from now on the database's clock; a try was used up where there is an outcome. */
  | {
      readonly kind: "deferred";
      readonly request: Request;
      readonly outcome: Outcome | null;
      readonly delayMs: number;
    };

/** Takes completions and makes them durable, in batches, trying again until they are. */
export interface ResultWriter {
  /**
   * Hands one completion over. `insertedBy` is the transaction a streamed row came with, null for a swept row:
   * where the row is not found and that transaction is not visible yet, the completion is kept and tried again (rule awaitVisibility).
   * `memory` is what its answer holds, given back when it is settled; without it, that is not bounded.
   */
  write(completion: Completion, insertedBy: Inserter | null, memory?: AnswerMemory): void;
  /** Resolves when everything handed over so far is settled, or when `signal` fires. */
  drained(signal: AbortSignal): Promise<void>;
}

/** What the writer reports to its owner. */
export interface ResultListener {
  /** These are committed, or their row was cancelled by its owner; they need no memory any more. */
  settled(completions: readonly Completion[]): void;
  /** So many that were just settled had no row any more. Where another has such an id now, it counted as known until here. */
  gone(count: number): void;
  /**
   * `why` says what failed and what mends it, from the first failed write until one of its kind succeeds again, and is told anew where
   * that changes: no new request should start meanwhile. Null when results can be written again.
   */
  writable(why: string | null): void;
}
