import type { Outcome } from "../http/outcome.ts";
import type { Completion } from "../results/completion.ts";
import type { Entry } from "./host.ts";

/** What the sender reports for metrics. Called for every request: it must not wait, nor make anything. */
export interface SendObserver {
  /** A try starts. */
  started(entry: Entry): void;
  /** It ended; of a row that is never sent it did so without a start. `completion` is null where it is left to the next start. */
  ended(host: string, outcome: Outcome, completion: Completion["kind"] | null): void;
  /** What a try came to is committed, so many milliseconds after its end. */
  stored(tookMs: number): void;
}
