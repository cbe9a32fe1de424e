import type { Queryable } from "../../src/pg/pool.ts";
import type { Snapshot } from "../../src/pg/snapshot.ts";
import { sweep } from "../../src/outbox/sweep.ts";
import { type Item, statementOf, type Verdict } from "../../src/results/statements.ts";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import { pgoutputDecoder } from "../../src/wal/pgoutput.ts";
import { setServer, SimulatedClient } from "./client.ts";
import { Random } from "./random.ts";
import type { Row, Transaction } from "./server/database.ts";
import { Server } from "./server/server.ts";
import { Slot } from "./server/slot.ts";
import { itemOf, planOf } from "./short-history.ts";
import { type ShortRequest, type Stored, StreamLines, type Subject, type SweptRows } from "./subject.ts";
import { as, type Process, promises, resetTime, runTime, virtualNow } from "./virtual-time.ts";

/** The simulated server, asked by the statements of pgnetd. */
export class SimulatedSubject implements Subject {
  readonly #server: Server;
  readonly #process: Process = { name: "reader", pausedUntil: 0, isDead: false, timers: 0 };
  readonly #rows: Row[] = [];
  readonly #open = new Map<number, Transaction>();
  readonly #db: Queryable;
  readonly #lines: StreamLines;

  constructor() {
    resetTime(1);
    const profile = {
      latency: { leastMs: 0.1, mostMs: 0.2 },
      statementMs: 0.1,
      decodeMs: 0.1,
      standbyMs: 0,
      mostLanes: 5_000,
    };
    this.#server = new Server(profile, new Random(1));
    setServer(this.#server.connect);
    const { database } = this.#server;
    this.#server.slot = new Slot(database.insertLsn, false);
    this.#lines = new StreamLines((created) => this.#rows.findIndex((row) => row.created === created));
    const ordinary = this.#connect(undefined);
    this.#db = { query: (statement) => this.#answer(ordinary.query(statement)) };
    const decode = pgoutputDecoder(PUBLICATIONS).open();
    const replication = this.#connect("database");
    replication.connection.on("copyData", ({ chunk }: { chunk: Buffer }) => {
      if (chunk[0] === 0x77) decode(chunk.subarray(25), this.#lines);
    });
    void replication.query('START_REPLICATION SLOT "app" LOGICAL 0/0 ()');
  }

  #connect(replication: "database" | undefined): SimulatedClient {
    const client = new SimulatedClient(replication === undefined ? {} : { replication });
    as(this.#process, () => void client.connect());
    return client;
  }

  async #answer<T>(asked: Promise<unknown> | undefined): Promise<T> {
    await this.#settle();
    return (await asked) as T;
  }

  async #settle(): Promise<void> {
    await promises();
    await runTime(virtualNow() + 20);
  }

  #begin(user: number): Transaction {
    const open = this.#open.get(user) ?? this.#server.database.begin();
    this.#open.set(user, open);
    return open;
  }

  async insert(user: number, { host, due }: ShortRequest): Promise<bigint> {
    const delayMs = due === null ? null : due === "ago" ? -1_000 : 3_600_000;
    const shape = { host, lane: null, failures: 0, maxAttempts: 1, delayMs, bodyBytes: 0, timeoutMs: 1_000 };
    const by = this.#begin(user);
    this.#rows.push(this.#server.database.insert(by, shape));
    return by.xid;
  }

  async cancel(user: number, request: number): Promise<void> {
    const { database } = this.#server;
    const row = this.#rows[request];
    if (row === undefined || !database.isVisible(row)) return;
    const by = this.#begin(user);
    if (database.lock(by, row)) database.end(by, row, "cancelled");
  }

  async end(user: number, commits: boolean): Promise<void> {
    const by = this.#open.get(user);
    if (by === undefined) return;
    this.#open.delete(user);
    if (commits) this.#server.commit(by);
    else this.#server.database.abort(by);
    await this.#settle();
  }

  async truncate(): Promise<void> {
    const { database } = this.#server;
    const by = database.begin();
    const rows = [...database.outbox.values()].filter((row) => database.isVisible(row));
    for (const row of rows) database.end(by, row, "cancelled");
    by.streamed.push({ kind: "truncate", rows });
    this.#server.commit(by);
  }

  async message(content: string): Promise<void> {
    this.#server.database.emit(content);
  }

  async sweep(perLane: number, known: readonly number[]): Promise<SweptRows> {
    const plan = planOf(
      perLane,
      known.flatMap((index) => this.#rows[index] ?? []),
    );
    const found = await sweep(this.#db, plan, { maxRedirects: 5, installationMarks: [], assertSame: () => undefined });
    const snapshot: Snapshot = found.snapshot;
    return {
      requests: found.rows.map(({ request }) => this.#rows.findIndex((row) => row.created === request.created)),
      left: found.left.toSorted(),
      isDueLater: found.nextDueMs !== null,
      snapshot,
    };
  }

  async store(kind: "answered" | "dead" | "deferred", requests: readonly number[]): Promise<Stored> {
    const items = requests.flatMap((index): readonly Item[] => {
      const row = this.#rows[index];
      return row === undefined ? [] : [itemOf(kind, row.id, row.created)];
    });
    const { rows } = await this.#db.query<Verdict & Record<string, unknown>>(statementOf(items, kind));
    const numbers = (ids: readonly string[] = []): readonly number[] =>
      requests.filter((index) => ids.includes(String(this.#rows[index]?.id)));
    return { missing: numbers(rows[0]?.missing), locked: numbers(rows[0]?.locked) };
  }

  async streamed(): Promise<readonly string[]> {
    this.#server.database.flush();
    await this.#settle();
    return this.#lines.lines;
  }
}
