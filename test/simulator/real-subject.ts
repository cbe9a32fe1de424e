import pg from "pg";

import { sweep } from "../../src/outbox/sweep.ts";
import { openPool, type Pool } from "../../src/pg/pool.ts";
import { PUBLICATIONS } from "../../src/pg/own-publications.ts";
import { type Item, statementOf, type Verdict } from "../../src/results/statements.ts";
import { pgoutputDecoder } from "../../src/wal/pgoutput.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { itemOf, planOf } from "./short-history.ts";
import { type ShortRequest, type Stored, StreamLines, type Subject, type SweptRows } from "./subject.ts";

const DUE = { ago: "now() - interval '1 second'", later: "now() + interval '1 hour'" } as const;

interface Made {
  readonly id: string;
  readonly created: string;
}

/** A PostgreSQL server, asked by the same statements. */
export class RealSubject implements Subject, AsyncDisposable {
  readonly #database: TestDatabase;
  readonly #pool: Pool;
  readonly #users = new Map<number, pg.Client>();
  readonly #open = new Set<number>();
  readonly #rows: Made[] = [];
  readonly #slot: string;

  private constructor(database: TestDatabase) {
    this.#database = database;
    this.#slot = `agreement_${database.name}`;
    this.#pool = openPool({ url: database.url, size: 2, statementTimeoutMs: 10_000 });
  }

  static async open(database: TestDatabase): Promise<RealSubject> {
    const subject = new RealSubject(database);
    await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [subject.#slot]);
    return subject;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#users.values()].map((user) => user.end()));
    await this.#pool[Symbol.asyncDispose]();
    await this.#database.query("select pg_drop_replication_slot($1)", [this.#slot]);
  }

  async #user(user: number): Promise<pg.Client> {
    let client = this.#users.get(user);
    if (client === undefined) {
      client = new pg.Client({ connectionString: this.#database.url });
      this.#users.set(user, client);
      await client.connect();
    }
    if (!this.#open.has(user)) await client.query("begin");
    this.#open.add(user);
    return client;
  }

  async insert(user: number, { host, due }: ShortRequest): Promise<bigint> {
    const client = await this.#user(user);
    const at = due === null ? "null" : DUE[due];
    const { rows } = await client.query<Made & { xid: string }>(
      `insert into net.http_request_queue (method, url, headers, timeout_milliseconds, next_attempt_at)
       values ('POST', $1, '{}', 1000, ${at}) returning id::text, created::text, pg_current_xact_id()::text as xid`,
      [`http://${host}/`],
    );
    const [made] = rows;
    if (made === undefined) throw new Error("nothing was inserted");
    this.#rows.push(made);
    return BigInt(made.xid);
  }

  async cancel(user: number, request: number): Promise<void> {
    const client = await this.#user(user);
    await client.query("delete from net.http_request_queue where id = $1", [this.#rows[request]?.id]);
  }

  async end(user: number, commits: boolean): Promise<void> {
    if (!this.#open.delete(user)) return;
    await this.#users.get(user)?.query(commits ? "commit" : "rollback");
  }

  async truncate(): Promise<void> {
    await this.#database.query("truncate net.http_request_queue");
  }

  async message(content: string): Promise<void> {
    await this.#database.query("select pg_logical_emit_message(false, 'pgnetd', $1)", [content]);
  }

  async sweep(perLane: number, known: readonly number[]): Promise<SweptRows> {
    const plan = planOf(
      perLane,
      known.flatMap((index) => this.#rows[index] ?? []).map(({ id, created }) => ({ id: BigInt(id), created })),
    );
    const found = await sweep(this.#pool, plan, {
      maxRedirects: 5,
      installationMarks: [],
      assertSame: () => undefined,
    });
    return {
      requests: found.rows.map(({ request }) => this.#rows.findIndex(({ id }) => id === String(request.id))),
      left: found.left.toSorted(),
      isDueLater: found.nextDueMs !== null,
      snapshot: found.snapshot,
    };
  }

  async store(kind: "answered" | "dead" | "deferred", requests: readonly number[]): Promise<Stored> {
    const items = requests.flatMap((index): readonly Item[] => {
      const row = this.#rows[index];
      return row === undefined ? [] : [itemOf(kind, BigInt(row.id), row.created)];
    });
    const { rows } = await this.#pool.query<Verdict & Record<string, unknown>>(statementOf(items, kind));
    const numbers = (ids: readonly string[] = []): readonly number[] =>
      requests.filter((index) => ids.includes(this.#rows[index]?.id ?? ""));
    return { missing: numbers(rows[0]?.missing), locked: numbers(rows[0]?.locked) };
  }

  async streamed(): Promise<readonly string[]> {
    const names = PUBLICATIONS.map(({ name }) => name).join(",");
    const rows = await this.#database.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes($1, null, null,
         'proto_version', '1', 'publication_names', $2, 'messages', 'true')`,
      [this.#slot, names],
    );
    const lines = new StreamLines((_created, id) => this.#rows.findIndex((row) => row.id === id));
    const decode = pgoutputDecoder(PUBLICATIONS).open();
    for (const { data } of rows) decode(data, lines);
    return lines.lines;
  }
}
