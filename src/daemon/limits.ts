import { answerMemory } from "../config/answer-memory.ts";
import type { Config } from "../config/settings.ts";
import type { Limits } from "../metrics/sample.ts";

/** The bounds that metrics show beside what they bound. */
export function limitsOf({ http, outbox, rate, results }: Config): Limits {
  return {
    inFlight: http.concurrency,
    memoryRequests: outbox.memoryRequests,
    memoryBytes: outbox.memoryBytes,
    answerBytes: answerMemory({ http, results }),
    perSecond: rate.perSecond,
  };
}
