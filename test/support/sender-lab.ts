import type { Answered, Failed, Outcome } from "../../src/http/outcome.ts";
import { type AnswerMemory, UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { HostSettings } from "../../src/outbox/host-settings.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import type { Completion } from "../../src/results/completion.ts";
import type { Permits } from "../../src/sending/host-scheduler.ts";
import type { SenderSettings } from "../../src/sending/parts.ts";
import type { Sender } from "../../src/sending/sender.ts";
import { FakeClock } from "./fake-clock.ts";
import { requestOf } from "./http-peer.ts";
import { silentLog } from "./silent-log.ts";
import { testSender } from "./test-sender.ts";
import { turn } from "./world-referee.ts";

const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
/** Answered well. */
export const ANSWERED: Answered = {
  kind: "answered",
  status: 200,
  headers: [],
  contentType: null,
  content: Buffer.alloc(0),
  timings,
};

/** Failed, for a reason. */
export function failed(code: Failed["code"], detail: string | null = null): Failed {
  return { kind: "failed", code, message: "", detail, maybeReceived: true, timings };
}

/** Nothing may be sent to the host. */
export const PAUSED: HostSettings = { ratePerSecond: null, concurrency: null, paused: true };

/** A sender whose requests end with `outcome`; memory has room for 32 of them and 32,000 bytes, eight of a lane. */
export class SenderLab {
  readonly clock = new FakeClock();
  readonly events: string[] = [];
  readonly completions: Completion[] = [];
  /** What they came with. */
  readonly memories: unknown[] = [];
  /** What the observer was told: of starts and ends with their hosts, of results stored how long after. */
  readonly observed: string[] = [];
  /** Causes of shortages that were logged. */
  readonly shortages: unknown[] = [];
  /** Memories of answers that were released. */
  released = 0;
  readonly sender: Sender;
  random = 0;
  /** Of hosts with a rate of their own. */
  readonly rates = new Map<string, Permits>();
  mayStart = true;
  outcome: Outcome | null = ANSWERED;
  #id = 0n;
  /** The memory of every answer. */
  readonly memory: AnswerMemory = { ...UNBOUNDED, release: () => void this.released++ };

  constructor(settings: Partial<SenderSettings> = {}) {
    const send = async (): Promise<Outcome> => this.outcome ?? (await new Promise(() => undefined));
    this.sender = testSender(
      {
        send,
        results: {
          write: (completion, _insertedBy, memory) => {
            this.completions.push(completion);
            this.memories.push(memory);
          },
        },
        clock: this.clock,
        random: () => this.random,
        log: { ...silentLog, error: ({ cause }) => void this.shortages.push(cause) },
        rateOf: (host) => this.rates.get(host) ?? null,
        answers: { mayStart: () => this.mayStart, open: () => this.memory },
        observer: {
          started: ({ host }) => this.observed.push(`started ${host}`),
          ended: (host, _outcome, completion) => this.observed.push(`ended ${host} ${completion}`),
          stored: (tookMs) => this.observed.push(`stored ${tookMs}`),
        },
        events: {
          ended: () => this.events.push("ended"),
          low: (lane) => this.events.push(`low ${lane}`),
          givenUp: (lane) => this.events.push(`given up ${lane}`),
          seenAgain: () => this.events.push("seen again"),
        },
      },
      {
        memory: { requests: 32, bytes: 32_000, perLane: 8 },
        concurrency: { total: 8, perHost: 1 },
        perSecond: "unlimited",
        ...settings,
      },
    );
  }

  row(lane: string, { bytes = 100, host = lane, id = (this.#id += 1n) } = {}): OutboxRow {
    const request = { ...requestOf(`http://${host}/`, { id }), bytes };
    return { request, defect: null, isForeign: false, nextAttemptAt: null, lane, host };
  }

  /** Holds and accepts a row; false where there is no room for it. */
  accept(row: OutboxRow): boolean {
    if (!this.sender.hold(row.lane, row.request.bytes)) return false;
    this.sender.accept(row, null);
    return true;
  }

  /** Accepts so many rows of `lane`. */
  fill(lane: string, count: number): void {
    for (let one = 0; one < count; one++) {
      if (!this.accept(this.row(lane))) throw new RangeError(`no room for ${lane}`);
    }
  }

  async start(): Promise<void> {
    this.sender.start();
    await turn();
  }

  share(lane: string): object | undefined {
    return this.sender.room.shares.find((share) => share.lane === lane);
  }
}
