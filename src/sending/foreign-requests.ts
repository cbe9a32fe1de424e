import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { ResultWriter } from "../results/completion.ts";

/** What it needs. */
export interface ForeignRequestsParts {
  /** Where completions go. */
  readonly results: ResultWriter;
  /** Has the installation read again: its mark may be another one by now. */
  readonly identify: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** They are reported at most this often, in milliseconds, and not counted: `net.http_dead_letter` has them. */
const REPORT_EVERY_MS = 60_000;
/** The installation is read again at most this often, in milliseconds. */
const IDENTIFY_EVERY_MS = 1_000;

const HINT =
  "They came with a dump that was restored into this database, or by replication: those with error_code other_installation in net.http_dead_letter. pgnetd replay sends them from here.";

/** Hands completions on, and reports those of requests that another installation made. */
export class ForeignRequests implements ResultWriter {
  readonly #parts: ForeignRequestsParts;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #identifiedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ForeignRequestsParts) {
    this.#parts = parts;
  }

  write(...[completion, insertedBy, memory]: Parameters<ResultWriter["write"]>): void {
    const { outcome } = completion;
    if (outcome?.kind === "failed" && outcome.code === "other_installation") this.#met();
    this.#parts.results.write(completion, insertedBy, memory);
  }

  drained(signal: AbortSignal): Promise<void> {
    return this.#parts.results.drained(signal);
  }

  #met(): void {
    const { identify, clock, log } = this.#parts;
    const now = clock.now();
    if (now - this.#identifiedAt >= IDENTIFY_EVERY_MS) {
      this.#identifiedAt = now;
      identify();
    }
    if (now - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = now;
    log.warn({ hint: HINT }, "requests of another installation are not sent: they are dead letters");
  }
}
