import type { Outcome } from "../http/outcome.ts";
import type { Completion } from "../results/completion.ts";
import type { Entry } from "../sending/host.ts";
import type { SendObserver } from "../sending/observer.ts";
import { BusiestHosts } from "./busiest-hosts.ts";
import { CATALOGUE, LABELS, type OutcomeClass } from "./catalogue.ts";
import { Distribution } from "./distribution.ts";
import { ServerClock } from "./server-clock.ts";

const STATUS_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/** What is counted and measured of the requests of one database, for as long as the process lives. */
export class RequestMeter implements SendObserver {
  readonly clock = new ServerClock();
  readonly hosts: BusiestHosts;
  readonly commitToStart = new Distribution(CATALOGUE.requests.commitToStart.buckets);
  readonly startToAnswer = new Distribution(CATALOGUE.requests.startToAnswer.buckets);
  readonly answerToStored = new Distribution(CATALOGUE.requests.answerToStored.buckets);
  /** Tries that ended, by outcome. */
  readonly endedBy = new Map<OutcomeClass, number>(LABELS.outcome.map((outcome) => [outcome, 0]));
  startedCount = 0;
  retriedCount = 0;
  deadCount = 0;
  cancelledCount = 0;

  /** `mostHosts` have a label of their own. */
  constructor(mostHosts: number, now: () => number = () => performance.now()) {
    this.hosts = new BusiestHosts(mostHosts, now);
  }

  started({ host, waitsSince }: Entry): void {
    this.startedCount++;
    this.hosts.started(host);
    // NaN where a row says infinity.
    if (waitsSince !== undefined && waitsSince > 0) {
      this.commitToStart.observe(Math.max(0, this.clock.now() - waitsSince) / 1_000);
    }
  }

  ended(host: string, outcome: Outcome, completion: Completion["kind"] | null): void {
    const outcomeClass = classOf(outcome);
    const seconds = outcome.timings.totalMs / 1_000;
    this.endedBy.set(outcomeClass, (this.endedBy.get(outcomeClass) ?? 0) + 1);
    this.startToAnswer.observe(seconds);
    this.hosts.ended(host, outcomeClass, seconds);
    if (completion === "deferred") this.retriedCount++;
    else if (completion === "dead") this.deadCount++;
  }

  stored(tookMs: number): void {
    this.answerToStored.observe(tookMs / 1_000);
  }

  /** So many results found no row. */
  cancelled(count: number): void {
    this.cancelledCount += count;
  }
}

function classOf(outcome: Outcome): OutcomeClass {
  if (outcome.kind === "failed") return outcome.code;
  return STATUS_CLASSES[Math.floor(outcome.status / 100) - 1] ?? "5xx";
}
