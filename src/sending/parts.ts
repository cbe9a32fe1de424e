import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Outcome } from "../http/outcome.ts";
import type { AnswerBudget } from "../limits/answer-budget.ts";
import type { AnswerMemory } from "../limits/answer-memory.ts";
import type { Lane } from "../outbox/lane.ts";
import type { Request } from "../outbox/request.ts";
import type { Inserter } from "../pg/snapshot.ts";
import type { Completion } from "../results/completion.ts";
import type { AllPermits, Concurrency, Permits } from "./host-scheduler.ts";
import type { MemoryBounds } from "./memory.ts";
import type { SendObserver } from "./observer.ts";

/** What the sender asks of its neighbours. */
export interface SenderParts {
  readonly http: {
    send(request: Request, memory: AnswerMemory): Promise<Outcome>;
    /** Ends a request as timed out before its time; false where that is not to be, or has ended. */
    expire(request: Request): boolean;
  };
  readonly results: { write(completion: Completion, insertedBy: Inserter | null, memory?: AnswerMemory): void };
  /** The memory for answers (P5, P6). */
  readonly answers: Pick<AnswerBudget, "mayStart" | "open">;
  readonly rate: AllPermits;
  /** The rate of a host that has one of its own. */
  readonly rateOf: (host: string) => Permits | null;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1), for the jitter of waits. */
  readonly random: () => number;
  readonly events: SenderEvents;
  /** For who counts and measures. */
  readonly observer?: SendObserver | undefined;
}

/** What the sender reports to its owner. */
export interface SenderEvents {
  /** A request ended, and its place is free again. */
  ended(): void;
  /** Half of what may wait of this lane does not, after a start. */
  low(lane: Lane): void;
  /** What waited of this lane was given up: the outbox has it. */
  givenUp(lane: Lane): void;
  /** A request ended whose id came again meanwhile: the outbox may have another row with it. */
  seenAgain(): void;
}

/** Bounds of the sender. */
export interface SenderSettings {
  readonly memory: MemoryBounds;
  readonly concurrency: Concurrency;
  /** Requests started per second at most. */
  readonly perSecond: number | "unlimited";
}
