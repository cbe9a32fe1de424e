import type { Clock } from "../base/clock.ts";
import { freeBuffer } from "../base/free-buffer.ts";
import { AutoResetEvent } from "../base/auto-reset-event.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops, stopped } from "../base/loops.ts";
import { type AnswerMemory, UNBOUNDED } from "../limits/answer-memory.ts";
import { type Inserter, isDecided, parseSnapshot } from "../pg/snapshot.ts";
import type { Queryable } from "../pg/pool.ts";
import { SQLSTATE } from "../pg/sqlstate.ts";
import { Backlog, type BatchBounds, isLarge, type Pending, UNTRIED } from "./backlog.ts";
import { Doubtful } from "./doubtful.ts";
import type { Completion, ResultListener, ResultWriter } from "./completion.ts";
import { keptOf, sizeOf } from "./kept.ts";
import { Locked } from "./locked.ts";
import { Outage } from "./outage.ts";
import { PROBE_MS, probe } from "./probe.ts";
import { Refused } from "./refused.ts";
import { type Verdict, statementOf } from "./statements.ts";
import { AwaitingVisibility } from "./awaiting-visibility.ts";
import { type WriteFailure, rowFault, writeFailure } from "./write-failure.ts";

/** What a result writer needs, and its bounds. */
export interface ResultWriterOptions {
  readonly db: Queryable;
  readonly listener: ResultListener;
  readonly log: Log;
  readonly clock: Clock;
  /** Rows in one statement at most; 500 unless set. */
  readonly maxBatchRows?: number | undefined;
  /** Bytes of content in one statement at most, unless one answer alone has more; 4 MiB unless set. */
  readonly maxBatchBytes?: number | undefined;
  /** Statements in flight at most, each on a connection of its own; 2 unless set. */
  readonly maxBatches?: number | undefined;
  /** Gives up what is not written yet. */
  readonly signal: AbortSignal;
}

/** An answer above the size of a batch is given up after so many tries that took so long. */
const LARGE_TRIES = 3;
const LONG_MS = 5_000;
/** A deadlock passes; a trigger may raise that, too, and then it comes again and again. */
const MOST_DEADLOCKS = 5;

/** A writer with the work that goes on in it. */
export interface OpenResultWriter extends ResultWriter, AsyncDisposable {
  /**
   * Tries again what could not be written, until `signal` fires or the writer is closed. Rejects where a fault of its own or of its
   * listener keeps the writer from going on.
   */
  readonly run: Loop;
}

/**
 * Opens the writer of results (P2, P3, P10). A batch leaves as soon as one of the few slots is free, so that latency is
 * low at low rates and batches grow by themselves at high ones. Closing it waits for the statements in flight.
 */
export function openResultWriter(options: ResultWriterOptions): OpenResultWriter {
  return new BatchWriter(options);
}

/**
 * Its modes:
 *
 * - *writing*: a statement starts wherever one may; fewer at once while an outage lasts. Until one fails for a reason outside its rows.
 * - *resting*: none starts. Until the rest is over (`#endRests`), or for good where the writer ends.
 * - *ended*: closed or given up (`#signal`); or broken, by a fault that is none of the database (`#broken`).
 *
 * A completion is in the *backlog* until a statement takes it. From there it is *settled*; or goes back to the backlog after a failure;
 * or is kept by `#unseen`, `#locked` or `#refused` until that says that it is to be tried again. Of hosts that are *doubtful* it is in
 * `#doubtful` in place of the backlog.
 */
class BatchWriter implements OpenResultWriter {
  readonly #options: ResultWriterOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #bounds: BatchBounds;
  /** Rows in the next statement at most: fewer after one that took too long. */
  #rows: number;
  readonly #maxBatches: number;
  readonly #backlog = new Backlog();
  /** Statements in flight, with what follows from them. */
  readonly #running = new Set<Promise<void>>();
  readonly #doubtful = new Doubtful();
  /** How many of the statements in flight are of large answers, or of doubtful hosts. */
  #slow = 0;
  /** Doubtful hosts and all others have turns. */
  #isDoubtfulNext = false;
  readonly #unseen: AwaitingVisibility;
  readonly #locked: Locked;
  readonly #refused: Refused;
  readonly #outage: Outage;
  /** A flush follows in this turn of the event loop. */
  #flushPlanned = false;
  /** How long no statement starts after a failed one, in milliseconds; null where they do. */
  #restMs: number | null = null;
  /** A rest began. */
  readonly #rests = new AutoResetEvent();
  /** Rejects with the first fault that is none of the database. */
  readonly #broken = Promise.withResolvers<never>();
  /** Handed over and not settled. */
  #unsettled = 0;
  /** What the listener knows. */
  #unwritable: string | null = null;
  /** Resolves, and is replaced, when nothing is unsettled. */
  #drained = Promise.withResolvers<void>();

  constructor(options: ResultWriterOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#bounds = { rows: options.maxBatchRows ?? 500, bytes: options.maxBatchBytes ?? 4 * 1024 * 1024 };
    this.#rows = this.#bounds.rows;
    this.#maxBatches = options.maxBatches ?? 2;
    this.#outage = new Outage(options);
    this.#unseen = new AwaitingVisibility({ ...options, visible: (items) => this.#again(items) });
    const stuck = (item: Pending): void => this.#refused.keep(item);
    this.#locked = new Locked({ ...options, stuck, free: (items) => this.#again(items) });
    this.#refused = new Refused({ ...options, due: (items) => this.#again(items) });
    this.#broken.promise.catch(() => undefined);
  }

  readonly run: Loop = (signal) =>
    runLoops(AbortSignal.any([signal, this.#signal]), [
      this.#unseen.run,
      this.#locked.run,
      this.#refused.run,
      this.#endRests,
      (end) => Promise.race([this.#broken.promise, stopped(end)]),
    ]);

  write(whole: Completion, insertedBy: Inserter | null, memory: AnswerMemory = UNBOUNDED): void {
    const completion = keptOf(whole);
    const bytes = sizeOf(completion);
    memory.finish(bytes);
    this.#unsettled += 1;
    this.#again([{ completion, insertedBy, bytes, memory, ...UNTRIED }]);
  }

  async drained(signal: AbortSignal): Promise<void> {
    if (this.#unsettled === 0) return;
    await Promise.race([this.#drained.promise, stopped(AbortSignal.any([signal, this.#signal]))]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.race([Promise.all(this.#running), stopped(this.#options.signal)]);
  }

  #again(items: readonly Pending[]): void {
    for (const item of items) (this.#doubtful.has(item) ? this.#doubtful : this.#backlog).push(item);
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    // After all answers that came with the same turn of the event loop: they make one batch.
    setImmediate(() => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#restMs === null && !this.#signal.aborted && this.#running.size < this.#maxBatches) {
      // What is slow says nothing of the others, which end an outage.
      if (this.#outage.lasts && this.#running.size > this.#slow) return;
      // P6: large answers and doubtful hosts leave a slot to the others.
      const batch = this.#take(this.#slow < Math.max(1, this.#maxBatches - 1));
      if (batch.length === 0) return;
      const slow = batch.some((item) => item.isDoubtful || isLarge(item)) ? 1 : 0;
      this.#slow += slow;
      const run = this.#store(batch)
        .then(() => {
          this.#running.delete(run);
          this.#slow -= slow;
          this.#flush();
        })
        .catch(this.#broken.reject);
      this.#running.add(run);
    }
  }

  #take(slowToo: boolean): Pending[] {
    const bounds = { ...this.#bounds, rows: this.#rows };
    if (!slowToo) return this.#takeOthers(bounds, false);
    this.#isDoubtfulNext = !this.#isDoubtfulNext && !this.#outage.lasts;
    const first = this.#isDoubtfulNext ? this.#doubtful.take(bounds) : this.#takeOthers(bounds, true);
    if (first.length > 0) return first;
    return this.#isDoubtfulNext ? this.#takeOthers(bounds, true) : this.#doubtful.take(bounds);
  }

  /** P6: what was queued before its host was doubtful is tried apart all the same. */
  #takeOthers(bounds: BatchBounds, largeToo: boolean): Pending[] {
    for (;;) {
      const batch = this.#backlog.take(bounds, largeToo);
      const others = batch.filter((item) => !this.#doubtful.has(item));
      if (others.length === batch.length) return others;
      for (const item of batch) if (this.#doubtful.has(item)) this.#doubtful.push(item);
      if (others.length > 0) return others;
    }
  }

  #putBack(batch: readonly Pending[]): void {
    (batch[0]?.isDoubtful === true ? this.#doubtful : this.#backlog).putBack(batch);
  }

  async #store(batch: readonly Pending[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const { kind } = first.completion;
    const startedAt = this.#options.clock.now();
    const result = await this.#query(batch, first);
    const tookMs = this.#options.clock.now() - startedAt;
    if ("verdict" in result) {
      if (first.isDoubtful) this.#doubtful.succeeded(batch);
      else this.#rows = Math.min(this.#bounds.rows, this.#rows * 2);
      this.#outage.succeeded(kind, startedAt);
      this.#judge(batch, result.verdict);
    } else if (result.failure.code === SQLSTATE.deadlockDetected && first.deadlocks < MOST_DEADLOCKS) {
      first.deadlocks += 1;
      this.#outage.deadlocked();
      this.#putBack(batch);
    } else if (result.failure.fault === "row") {
      await this.#divide(batch, result.failure, startedAt);
    } else {
      if (tookMs >= LONG_MS && !first.isDoubtful) this.#rows = Math.ceil(batch.length / 2);
      const askedAt = this.#options.clock.now();
      const { failure } = result;
      const why = failure.fault === "either" ? await probe(this.#options, kind, this.#signal) : failure;
      if (why === null) {
        // P6: this may be all there is to be written: nothing else would end the outage.
        this.#outage.succeeded(kind, askedAt);
        this.#tellWritable();
        if (this.#isTooMuch(batch, tookMs)) await this.#divide(batch, failure, askedAt);
        else await this.#doubt(batch, failure, askedAt);
      } else {
        // P11: not what a trigger said of a row, where the database takes none.
        this.#putBack(batch);
        this.#rest(this.#outage.failed(kind, why));
      }
    }
    this.#tellWritable();
  }

  /**
   * P6: a batch that failed though the database takes others: each of its hosts is tried apart, down to the row. That one is tried once
   * more before it is refused, and later where the reason may pass.
   */
  async #doubt(batch: readonly Pending[], failure: WriteFailure, startedAt: number): Promise<void> {
    const [item] = batch;
    if (item === undefined || batch.length > 1 || !item.isDoubtful) this.#doubtful.doubt(batch);
    else if (failure.isPassing || item.refusal !== null) {
      if (failure.isPassing) this.#outage.delayed(failure);
      this.#keep(item);
    } else await this.#divide(batch, failure, startedAt);
  }

  #keep(item: Pending): void {
    // P2: a refusal was no better, so that the answer is stored whole when the reason is gone.
    item.refusal = null;
    item.memory.block();
    this.#doubtful.kept(item);
    this.#refused.keep(item);
  }

  async #query(
    batch: readonly Pending[],
    { completion: { kind }, isDoubtful, refusals }: Pending,
  ): Promise<{ verdict: Verdict } | { failure: WriteFailure }> {
    let statement;
    try {
      statement = statementOf(batch, kind);
      // Each was seen to fail or to wait among others: nobody waits for it for long, and least of all where it is to end an outage.
      if (isDoubtful && this.#outage.lasts) statement = { ...statement, timeoutMs: PROBE_MS };
      else if (isDoubtful && (batch.length > 1 || refusals === 0)) statement = { ...statement, timeoutMs: LONG_MS };
    } catch (error) {
      return { failure: rowFault(error) };
    }
    try {
      const { rows } = await this.#options.db.query<Verdict>(statement);
      const [verdict] = rows;
      if (verdict === undefined) throw new Error("the database answered without a row");
      return { verdict };
    } catch (error) {
      return { failure: writeFailure(error) };
    } finally {
      for (const value of statement.values ?? []) if (Buffer.isBuffer(value)) freeBuffer(value);
    }
  }

  /** P2: rows that were not found are cancelled by their owner, locked by somebody, or not visible yet (awaitVisibility). */
  #judge(batch: readonly Pending[], verdict: Verdict): void {
    if (verdict.missing.length === 0) {
      this.#settle(batch);
      return;
    }
    const missing = new Set(verdict.missing);
    const locked = new Set(verdict.locked);
    const freed = new Set(verdict.kept);
    const snapshot = parseSnapshot(verdict.snapshot);
    const settled: Pending[] = [];
    let gone = 0;
    for (const item of batch) {
      const id = String(item.completion.request.id);
      const { insertedBy } = item;
      if (locked.has(id)) {
        item.freed = freed.has(id) ? item.freed + 1 : 0;
        item.memory.block();
        this.#locked.keep(item);
      } else if (missing.has(id) && insertedBy !== null && !isDecided(snapshot, insertedBy)) this.#unseen.keep(item);
      else {
        settled.push(item);
        if (missing.has(id)) gone++;
      }
    }
    this.#settle(settled);
    if (gone > 0) this.#options.listener.gone(gone);
  }

  /** A batch with a row that the database refuses: halves, down to that row, whose completion then says so instead. */
  async #divide(batch: readonly Pending[], failure: WriteFailure, startedAt: number): Promise<void> {
    const [item] = batch;
    if (batch.length > 1) {
      const middle = Math.ceil(batch.length / 2);
      await this.#store(batch.slice(0, middle));
      await this.#store(batch.slice(middle));
    } else if (item !== undefined) {
      this.#outage.refused(failure);
      if (item.refusal === null) {
        item.refusal = failure.message;
        await this.#store(batch);
      } else {
        // P6: the database judges rows, and this may be all there is to be written: nothing else would end the outage.
        this.#outage.succeeded(item.completion.kind, startedAt);
        this.#keep(item);
      }
    }
  }

  /** True for a single answer so large that the statement for it failed again and again, each time after long work. */
  #isTooMuch([item]: readonly Pending[], tookMs: number): boolean {
    if (item === undefined || item.refusal !== null || item.bytes <= this.#bounds.bytes || tookMs < LONG_MS)
      return false;
    item.longFailures += 1;
    return item.longFailures >= LARGE_TRIES;
  }

  #rest(ms: number): void {
    if (this.#restMs !== null) return;
    this.#restMs = ms;
    this.#rests.notify();
  }

  readonly #endRests: Loop = async (signal) => {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#rests.wait(null, clock, signal);
      await clock.sleep(this.#restMs ?? 0, signal);
      if (signal.aborted) return;
      this.#restMs = null;
      this.#flush();
    }
  };

  #settle(items: readonly Pending[]): void {
    if (items.length === 0) return;
    this.#unsettled -= items.length;
    for (const { memory } of items) memory.release();
    this.#doubtful.settled(items);
    this.#options.listener.settled(items.map(({ completion }) => completion));
    if (this.#unsettled > 0) return;
    this.#drained.resolve();
    this.#drained = Promise.withResolvers<void>();
  }

  #tellWritable(): void {
    const { reason } = this.#outage;
    if (reason === this.#unwritable) return;
    this.#unwritable = reason;
    this.#options.listener.writable(reason);
  }
}
