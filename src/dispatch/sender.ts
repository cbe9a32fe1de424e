import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import { Wake } from "../base/wake.ts";
import type { Outcome } from "../http/outcome.ts";
import type { AnswerBudget } from "../limits/answer-budget.ts";
import type { AnswerMemory } from "../limits/answer-memory.ts";
import { type HostSettings, limitedHost } from "../outbox/host-settings.ts";
import type { Recall } from "../outbox/recall.ts";
import type { Request } from "../outbox/request.ts";
import type { OutboxRow } from "../outbox/row.ts";
import type { Inserter } from "../outbox/snapshot.ts";
import { FailureLog } from "../pg/failure-log.ts";
import type { Ending } from "../results/ending.ts";
import { Drain } from "./drain.ts";
import { endingOf } from "./ending.ts";
import type { Entry } from "./host.ts";
import { type Concurrency, Hosts, type Permits } from "./hosts.ts";
import { type Held, LEAST_WAITING, Memory, type MemoryBounds, type Room } from "./memory.ts";
import { Shortage } from "./shortage.ts";

/** What the sender asks of its neighbours. */
export interface SenderParts {
  readonly http: { send(request: Request, memory: AnswerMemory): Promise<Outcome> };
  readonly results: { write(ending: Ending, insertedBy: Inserter | null, memory?: AnswerMemory): void };
  /** The memory for answers (P5, P6). */
  readonly answers: Pick<AnswerBudget, "mayStart" | "open">;
  /** Makes parked rows due now. */
  readonly outbox: { recall(recall: Recall): Promise<void> };
  readonly rate: Permits;
  /** The rate of a host that has one of its own. */
  readonly rateOf: (host: string) => Permits | null;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1), for the jitter of waits. */
  readonly random: () => number;
}

/** Bounds of the sender. */
export interface SenderSettings {
  readonly memory: MemoryBounds;
  readonly concurrency: Concurrency;
}

/** Streamed rows kept aside by the intake: they count against the memory bounds. */
export interface Aside {
  readonly asideCount: number;
  readonly asideBytes: number;
}

/** Slow hosts are looked for so often while requests wait, in milliseconds. */
const SHED_MS = 100;

/** Of the bytes in memory, so much may be in flight: the rest is left for what comes in. */
const IN_FLIGHT_SHARE = 3 / 4;

const NOTHING_ASIDE: Aside = { asideCount: 0, asideBytes: 0 };

/** Holds requests within the memory bounds (P5), starts them within all limits (P6, P7), and hands their endings on. */
export class Sender {
  readonly #parts: SenderParts;
  readonly #most: number;
  readonly #hosts: Hosts;
  readonly #memory: Memory;
  readonly #drain = new Drain();
  readonly #shortage: Shortage;
  /** Ids in memory that came again: it may be another row, made when the ending of the first was committed and not yet settled. */
  readonly #met = new Set<bigint>();
  readonly #recalls: FailureLog;
  readonly #filled = new Wake();
  readonly #emptied = new Wake();

  constructor(parts: SenderParts, { memory, concurrency }: SenderSettings) {
    this.#parts = parts;
    this.#most = memory.waiting;
    const bounds = { ...concurrency, bytes: memory.bytes * IN_FLIGHT_SHARE };
    this.#hosts = new Hosts(bounds, parts.rateOf, (host) => parts.answers.mayStart(host));
    this.#memory = new Memory(memory);
    this.#shortage = new Shortage(parts.log, parts.random);
    this.#recalls = new FailureLog(parts.log, {
      failed: "parked requests could not be called back; they come back at their own time",
      succeeded: "parked requests are called back again",
    });
  }

  get waiting(): number {
    return this.#hosts.waiting;
  }

  get inFlight(): number {
    return this.#hosts.inFlight;
  }

  get inMemory(): number {
    return this.#memory.requests;
  }

  get memoryBytes(): number {
    return this.#memory.bytes;
  }

  /** Ids in memory, from their reading until their result is committed. */
  get knownIds(): bigint[] {
    return this.#memory.ids();
  }

  /** Requests that wait for their turn at most: what is sent in about a second, so that cancelling takes effect soon. */
  get capacity(): number {
    const soon = Math.ceil(this.#drain.capacity(this.#parts.clock.now()));
    return Math.min(this.#most, Math.max(LEAST_WAITING, soon));
  }

  /** What further rows may take. */
  room(aside: Aside): Room {
    return this.#memory.room(this.#held(aside), this.capacity);
  }

  /** True where a row of `bytes` fits. */
  fits(bytes: number, aside: Aside): boolean {
    return this.#memory.fits(bytes, this.#held(aside), this.#most);
  }

  /** True where `rows` fit beside what is aside; alone they were planned to. */
  holds(rows: readonly OutboxRow[], aside: Aside): boolean {
    const bytes = rows.reduce((sum, { request }) => sum + request.bytes, 0);
    return aside.asideCount === 0 || this.#memory.holds(rows.length, bytes, this.#held(aside));
  }

  #held({ asideCount, asideBytes }: Aside): Held {
    return { waiting: this.#hosts.waitingForTurn, asideCount, asideBytes };
  }

  configureHosts(settings: ReadonlyMap<string, HostSettings>): void {
    this.#hosts.configure(settings);
  }

  /** Takes a row into memory, where it is not there already. */
  take({ request, defect }: OutboxRow, insertedBy: Inserter | null): void {
    if (this.#memory.has(request.id)) {
      this.#met.add(request.id);
      return;
    }
    this.#memory.add(request.id, request.bytes);
    const { clock, results } = this.#parts;
    if (defect !== null) {
      results.write({ kind: "answered", request, outcome: defective(defect) }, insertedBy);
      return;
    }
    const entry = { request, insertedBy, host: hostOf(request.url) };
    if (!this.#hosts.add(entry)) this.#park(entry, this.#hosts.park(entry, clock.now()));
    else if (this.#hosts.waiting === 1) this.#filled.knock();
  }

  /** Starts what the limits allow now. */
  start(): void {
    const { rate, clock } = this.#parts;
    const now = clock.now();
    for (let entry = this.#hosts.start(rate, now); entry !== null; entry = this.#hosts.start(rate, now)) {
      this.#send(entry);
    }
    if (this.#hosts.waitingForTurn === 0) this.#drain.relaxed();
    else this.#drain.limited(now);
  }

  /** `ended` is called after each request that ended, when its place is free again. */
  ended: () => void = () => undefined;

  /** `recalled` is called when rows of the outbox became free to be read: parked ones made due, or such whose id was in memory. */
  recalled: () => void = () => undefined;

  #send(entry: Entry): void {
    const memory = this.#parts.answers.open(entry.host);
    void this.#parts.http.send(entry.request, memory).then((outcome) => this.#end(entry, outcome, memory));
  }

  #end(entry: Entry, outcome: Outcome, memory: AnswerMemory): void {
    const { results, clock, random } = this.#parts;
    this.#hosts.finish(entry, clock.now());
    this.#drain.end();
    // The row stays in the outbox and is sent by whoever leads next.
    if (outcome.kind === "failed" && (outcome.code === "aborted" || outcome.code === "shortage")) {
      memory.release();
      if (outcome.code === "aborted") this.#forget(entry.request.id);
      else this.#park(entry, this.#shortage.delayMs(outcome.detail ?? outcome.code, clock.now()));
    } else results.write(endingOf(entry.request, outcome, random()), entry.insertedBy, memory);
    this.ended();
  }

  /** These need no memory any more. */
  settled(endings: readonly Ending[]): void {
    for (const { request } of endings) this.#forget(request.id);
  }

  /** Gives up everything not started: the outbox has it. */
  clear(): void {
    for (const { request } of this.#hosts.clear()) this.#forget(request.id);
  }

  #forget(id: bigint): void {
    this.#memory.delete(id);
    if (this.#met.delete(id)) this.recalled();
    if (this.#memory.requests === 0) this.#emptied.knock();
  }

  /** Resolves when nothing is in memory, or when `signal` fires. */
  async empty(signal: AbortSignal): Promise<void> {
    while (this.#memory.requests > 0 && !signal.aborted) await this.#emptied.wait(null, this.#parts.clock, signal);
  }

  /**
   * P6: parks what slow hosts would not take soon, so that it keeps nobody else out of memory, and calls it back when they
   * would.
   */
  readonly shed: Loop = async (signal) => {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      if (!this.#hosts.isBusy) await this.#filled.wait(null, clock, signal);
      else await clock.sleep(SHED_MS, signal);
      if (signal.aborted) return;
      const now = clock.now();
      for (const { entry, delayMs } of this.#hosts.shed(now, this.#isPressed)) this.#park(entry, delayMs);
      this.ended();
      await this.#callBack(this.#hosts.callBack(now));
    }
  };

  async #callBack(recall: Recall): Promise<void> {
    if (recall.ids.length === 0) return;
    try {
      await this.#parts.outbox.recall(recall);
      this.#recalls.succeeded();
      this.recalled();
    } catch (error) {
      this.#recalls.failed(error);
    }
  }

  /** True where what waits keeps the outbox from being read. */
  get #isPressed(): boolean {
    return this.room(NOTHING_ASIDE).requests * 2 < this.capacity;
  }

  #park({ request, insertedBy }: Entry, delayMs: number): void {
    this.#filled.knock();
    this.#parts.results.write({ kind: "parked", request, outcome: null, delayMs }, insertedBy);
  }
}

/** The destination as limits know it: the name or address in the url; empty where it cannot be read, which fails when sent. */
export function hostOf(url: string): string {
  return limitedHost(URL.parse(url)?.hostname ?? "");
}

function defective(message: string): Outcome {
  return {
    kind: "failed",
    code: "bad_request",
    message: `The row in net.http_request_queue cannot be sent: ${message}`,
    detail: null,
    maybeReceived: false,
    timings: { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 },
  };
}
