import { toError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { databaseHint } from "./pooler.ts";
import { causeOf } from "./sqlstate.ts";

/** What is logged of work that fails and is tried again. */
export interface FailureMessages {
  readonly failed: string;
  readonly succeeded: string;
}

/** Logs failures of work on the database that is tried again: once for each cause, and once when it succeeds again. */
export class FailureLog {
  readonly #log: Log;
  readonly #messages: FailureMessages;
  /** Logged since it last succeeded. */
  readonly #causes = new Set<string>();

  constructor(log: Log, messages: FailureMessages) {
    this.#log = log;
    this.#messages = messages;
  }

  failed(error: unknown): void {
    const code = causeOf(error);
    if (this.#causes.has(code)) return;
    this.#causes.add(code);
    const hint = databaseHint(error);
    this.#log.warn(
      { code, reason: toError(error).message, ...(hint !== undefined && { hint }) },
      this.#messages.failed,
    );
  }

  succeeded(): void {
    if (this.#causes.size === 0) return;
    this.#causes.clear();
    this.#log.info({}, this.#messages.succeeded);
  }
}
