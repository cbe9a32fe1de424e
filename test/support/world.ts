import { Dispatcher } from "../../src/dispatch/dispatcher.ts";
import { DispatcherEvents } from "../../src/dispatch/events.ts";
import type { MemoryBounds } from "../../src/sending/memory.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { type Inserter, isDecided } from "../../src/pg/snapshot.ts";
import type { SweepPlan, SweepResult } from "../../src/outbox/sweep.ts";
import type { Completion } from "../../src/results/completion.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { lowXid } from "../../src/pg/xid.ts";
import { FakeClock } from "./fake-clock.ts";
import { silentLog } from "./silent-log.ts";
import type { Row, Transaction } from "./world-rows.ts";
import { NOW_ACTIVE, readRows, receivedOf, snapshotOf, streamed, sweptRow } from "./world-rows.ts";
import { UNBOUNDED_ANSWERS } from "./unbounded-answers.ts";

const TABLE = "net.http_request_queue";
const TIMINGS = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };

interface PendingSweep {
  readonly plan: SweepPlan;
  readonly resolve: (result: SweepResult) => void;
  readonly reject: (error: Error) => void;
  result: SweepResult | null;
}

interface Flight {
  readonly row: Row;
  readonly request: Request;
  readonly resolve: (outcome: Outcome) => void;
}

/** What a world is made of. */
export interface WorldOptions {
  readonly memory: MemoryBounds;
  readonly concurrency?: number;
}

/**
 * A small world around the real dispatcher: a server that commits, decodes and makes visible as it likes, destinations
 * that answer when they like, and a referee that counts every request. Nothing happens but by its methods.
 */
export class World {
  readonly clock = new FakeClock();
  transactions: Transaction[] = [];
  /** By the text of when they were made. */
  readonly rows = new Map<string, Row>();
  readonly harms: string[] = [];
  readonly #options: WorldOptions;
  #log: Transaction[] = [];
  #nextId = 1n;
  #made = 0;
  #nextXid = NOW_ACTIVE;
  #lsn = 1_000n;
  #timeline = 1;
  #confirmed = 0;
  #received = 0;
  #part = 0;
  #writes: { readonly completion: Completion; readonly insertedBy: Inserter | null }[] = [];
  #flights: Flight[] = [];
  #sweep: PendingSweep | null = null;
  #streaming = false;
  /** Rows whose truncation the daemon received. */
  readonly #gone = new Set<Row>();
  #events = new DispatcherEvents();
  #dispatcher: Dispatcher;
  #stop = new AbortController();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#dispatcher = this.#start();
  }

  get dispatcher(): Dispatcher {
    return this.#dispatcher;
  }

  #start(): Dispatcher {
    this.#stop = new AbortController();
    const total = this.#options.concurrency ?? 100;
    const quiet = (): void => undefined;
    const events = new DispatcherEvents();
    this.#events = events;
    const dispatcher = new Dispatcher(
      {
        events,
        outbox: {
          sweep: (plan) => this.#asked(plan),
          snapshot: async () => snapshotOf(this.transactions),
        },
        reconnect: () => this.returnSweep(true),
        http: { send: (request) => this.#send(request), expire: () => false },
        results: { write: (completion, insertedBy) => this.#writes.push({ completion, insertedBy }) },
        answers: UNBOUNDED_ANSWERS,
        rate: { isFree: () => true, hasSpare: () => true, tryTake: () => true },
        rateOf: () => null,
        control: {
          changed: quiet,
          message: quiet,
          polled: quiet,
          streaming: quiet,
          leading: () => events.emit({ kind: "hosts-configured", settings: new Map(), isLatest: true }),
        },
        clock: this.clock,
        log: silentLog,
        random: () => 0.5,
      },
      {
        memory: this.#options.memory,
        concurrency: { total, perHost: total },
        perSecond: "unlimited",
        rows: { maxRedirects: 5, installationMarks: [] },
        fenceMs: Number.MAX_SAFE_INTEGER,
        outboxTable: TABLE,
      },
    );
    void dispatcher.run(this.#stop.signal);
    dispatcher.leading({ systemId: "1", timeline: this.#timeline, end: lsn(this.#lsn) });
    return dispatcher;
  }

  // The server.

  insert(
    rows: readonly { readonly failures?: number; readonly delayMs?: number; readonly lane?: string }[],
  ): Transaction {
    const transaction: Transaction = {
      xid: this.#nextXid++,
      rows: rows.map(({ failures = 0, delayMs, lane = "a" }) => ({
        id: this.#nextId++,
        created: String(++this.#made),
        lane,
        failures,
        nextAttemptAt: delayMs === undefined ? null : this.clock.now() + delayMs,
        attempts: 0,
        state: "waiting",
        sends: 0,
        excused: 0,
      })),
      at: "open",
      commitLsn: 0n,
    };
    for (const row of transaction.rows) this.rows.set(row.created, row);
    this.transactions.push(transaction);
    return transaction;
  }

  /** A transaction that writes elsewhere: it has an id, and never appears in the stream. */
  insertElsewhere(): Transaction {
    return this.insert([]);
  }

  record(transaction: Transaction): void {
    transaction.at = "recorded";
    transaction.commitLsn = this.#lsn;
    this.#lsn += 100n;
    if (transaction.rows.length > 0) this.#log.push(transaction);
  }

  reveal(transaction: Transaction): void {
    transaction.at = "visible";
  }

  abort(transaction: Transaction): void {
    transaction.at = "aborted";
  }

  /** The owner deletes the row, where it is visible and still there. */
  cancel(row: Row): void {
    if (row.state === "waiting" && this.#isVisible(row)) row.state = "cancelled";
  }

  /** The owner removes all rows at once; not before everybody who inserts has ended. */
  truncate(): void {
    if (this.transactions.some(({ at, rows }) => rows.length > 0 && (at === "open" || at === "recorded"))) return;
    const truncates = [...this.rows.values()].filter(({ state }) => state === "waiting");
    for (const row of truncates) row.state = "cancelled";
    const transaction: Transaction = {
      xid: this.#nextXid++,
      rows: [],
      truncates,
      at: "visible",
      commitLsn: this.#lsn,
    };
    this.#lsn += 100n;
    this.transactions.push(transaction);
    this.#log.push(transaction);
  }

  #ownerOf(row: Row): Transaction | undefined {
    return this.transactions.find(({ rows }) => rows.includes(row));
  }

  #isVisible(row: Row): boolean {
    return this.#ownerOf(row)?.at === "visible";
  }

  // The stream.

  /** Brings the next row of the stream; false where there is none. */
  stream(): boolean {
    const transaction = this.#log[this.#received];
    if (!this.#streaming || transaction === undefined) return false;
    const row = transaction.rows[this.#part];
    if (this.#part === 0) {
      const { xid, commitLsn } = transaction;
      this.#dispatcher.begin({ xid: lowXid(xid), commitLsn: lsn(commitLsn) });
    }
    if (row !== undefined) this.#dispatcher.insert(TABLE, streamed(row));
    if (transaction.truncates !== undefined) {
      this.#dispatcher.truncate(TABLE);
      for (const gone of transaction.truncates) this.#gone.add(gone);
    }
    this.#part++;
    if (this.#part >= transaction.rows.length) {
      this.#part = 0;
      this.#received++;
      this.#dispatcher.commit();
    }
    return true;
  }

  confirm(): void {
    this.#confirmed = this.#received;
  }

  /** The replication connection ends; the lock goes with it. */
  cut(): void {
    this.#streaming = false;
    this.#part = 0;
    this.#received = this.#confirmed;
    this.#dispatcher.lost();
  }

  /** The connection is made again; a slot that was lost starts at the end of the log. */
  connect(slotLost: boolean): void {
    if (this.#streaming) return;
    if (slotLost) this.#confirmed = this.#log.length;
    this.#received = this.#confirmed;
    this.#dispatcher.leading({ systemId: "1", timeline: this.#timeline, end: lsn(this.#lsn) });
    this.#dispatcher.streaming();
    this.#streaming = true;
  }

  /**
   * A standby without a slot takes over: its log goes on at a position where the other's had been before. It had not
   * received the last `behind` commits: those are lost, and their ids are given again.
   */
  promote(behind: number): void {
    this.#timeline++;
    this.putBack(behind);
  }

  /** The same, but by an earlier copy of the server's own files, which is on the same timeline. */
  putBack(behind: number): void {
    this.cut();
    const { transactions, log, lost, restored } = receivedOf(this.transactions, this.#log, behind);
    for (const { created } of lost) this.rows.delete(created);
    for (const row of restored) {
      row.state = "waiting";
      this.#gone.delete(row);
    }
    this.transactions = transactions;
    this.#log = log;
    this.#confirmed = Math.min(this.#confirmed, log.length);
    this.#nextId = [...this.rows.values()].reduce((next, { id }) => (id >= next ? id + 1n : next), 1n);
    this.#nextXid = this.transactions.reduce((next, { xid }) => (xid >= next ? xid + 1n : next), NOW_ACTIVE);
    this.#lsn = 1n;
    this.connect(true);
  }

  /** SIGKILL and a new start: memory is gone, requests in flight may have arrived. */
  crash(): void {
    for (const { row } of this.#flights) row.excused++;
    for (const { completion } of this.#writes) this.#excuse(completion);
    this.#flights = [];
    this.#writes = [];
    this.#sweep = null;
    this.#stop.abort();
    this.#streaming = false;
    this.#part = 0;
    this.#received = this.#confirmed;
    this.#dispatcher = this.#start();
  }

  #excuse({ request, outcome }: Completion): void {
    const row = this.rows.get(request.created);
    if (row !== undefined && outcome !== null) row.excused++;
  }

  // The outbox as asked.

  #asked(plan: SweepPlan): Promise<SweepResult> {
    if (this.#sweep !== null) this.harms.push("two sweeps at once");
    const { promise, resolve, reject } = Promise.withResolvers<SweepResult>();
    this.#sweep = { plan, resolve, reject, result: null };
    return promise;
  }

  /** The statement takes its snapshot and reads. */
  executeSweep(): void {
    const sweep = this.#sweep;
    if (sweep === null || sweep.result !== null) return;
    const { rows, ...found } = readRows(this.left(), sweep.plan, this.clock.now());
    sweep.result = {
      ...found,
      rows: rows.map(sweptRow),
      snapshot: snapshotOf(this.transactions),
      insertLsn: lsn(this.#lsn),
      nextXid: this.#nextXid,
    };
    this.transactions.push({ xid: this.#nextXid++, rows: [], at: "visible", commitLsn: 0n });
  }

  /** The statement's answer arrives, or its failure. */
  returnSweep(fails: boolean): void {
    const sweep = this.#sweep;
    if (sweep === null) return;
    if (!fails) this.executeSweep();
    this.#sweep = null;
    if (fails || sweep.result === null) sweep.reject(new Error("the connection was lost"));
    else sweep.resolve(sweep.result);
  }

  // The destinations and the results.

  #send(request: Request): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const row = this.rows.get(request.created);
    if (row === undefined) throw new RangeError("a request that nobody made");
    const owner = this.#ownerOf(row)?.at;
    row.sends++;
    if (row.sends > 1 + row.attempts + row.excused) this.harms.push(`doubled ${row.id}`);
    if (owner === "open" || owner === "aborted") this.harms.push(`phantom ${row.id}`);
    if (row.nextAttemptAt !== null && row.nextAttemptAt > this.clock.now()) this.harms.push(`early ${row.id}`);
    if (this.#gone.has(row)) this.harms.push(`truncated ${row.id}`);
    this.#flights.push({ row, request, resolve });
    return promise;
  }

  get flights(): number {
    return this.#flights.length;
  }

  /** One destination answers. */
  answer(which: number): void {
    const [flight] = this.#flights.splice(which % Math.max(1, this.#flights.length), 1);
    if (flight === undefined) return;
    const failing = flight.row.attempts < flight.row.failures;
    flight.resolve({
      kind: "answered",
      status: failing ? 503 : 200,
      headers: [],
      contentType: null,
      content: Buffer.alloc(0),
      timings: TIMINGS,
    });
  }

  get writes(): number {
    return this.#writes.length;
  }

  /** One completion is written; kept where its row is not visible yet (rule awaitVisibility). */
  writeBack(which: number): void {
    const index = which % Math.max(1, this.#writes.length);
    const write = this.#writes[index];
    if (write === undefined) return;
    const { completion, insertedBy } = write;
    const row = this.rows.get(completion.request.created);
    const isThere = row !== undefined && this.#isVisible(row) && row.state === "waiting";
    if (!isThere && insertedBy !== null && !isDecided(snapshotOf(this.transactions), insertedBy)) return;
    this.#writes.splice(index, 1);
    if (isThere) this.#apply(completion, row);
    this.#events.emit({ kind: "settled", completions: [completion] });
    if (!isThere) this.#events.emit({ kind: "gone" });
  }

  #apply(completion: Completion, row: Row): void {
    if (completion.kind === "deferred") {
      row.nextAttemptAt = this.clock.now() + completion.delayMs;
      if (completion.outcome !== null) row.attempts++;
    } else row.state = "answered";
  }

  /** True where nothing is under way and no visible row waits. */
  get isDone(): boolean {
    const isIdle = this.#sweep === null && this.#flights.length === 0 && this.#writes.length === 0;
    return isIdle && this.left().length === 0;
  }

  /** Visible rows that wait. */
  left(): readonly Row[] {
    return [...this.rows.values()].filter((row) => row.state === "waiting" && this.#isVisible(row));
  }

  end(): void {
    this.#stop.abort();
  }
}
