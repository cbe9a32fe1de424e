import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { sqlstateOf } from "../../src/pg/sqlstate.ts";
import { openTestPool } from "../support/pool.ts";
import { isExcused } from "./excuses.ts";
import { now } from "./journal.ts";
import type { Call, Ending, Shape } from "./steps.ts";
import type { World } from "./world.ts";

type Insert = Extract<Call, { readonly kind: "insert" }>;

/** A transaction that made requests with the keys from `first` to `last`. */
export interface Transaction {
  readonly first: number;
  readonly last: number;
  readonly shape: Shape;
  readonly ending: Ending;
  /** When its first statement was asked for, in milliseconds since the epoch. */
  readonly begunAt: number;
  /** When its commit was asked for, in milliseconds since the epoch; Infinity where it never was. */
  commitAt: number;
  /** When the server had answered that. */
  acknowledgedAt: number;
}

/** A committed change of the settings of a destination: in force at some time between the two. */
export interface HostChange {
  readonly destination: number;
  readonly rate: number | null;
  readonly paused: boolean;
  readonly askedAt: number;
  acknowledgedAt: number;
}

/** Carries out what callers do, and knows which keys it gave. */
export class Callers implements AsyncDisposable {
  readonly transactions: Transaction[] = [];
  readonly hostChanges: HostChange[] = [];
  /** Calls that failed and may not. */
  readonly failures: string[] = [];
  readonly #world: World;
  readonly #pool: pg.Pool;
  #nextKey = 1;

  constructor(world: World) {
    this.#world = world;
    this.#pool = openTestPool({ connectionString: world.db.url, max: 24, application_name: "swarm" });
  }

  /** Resolves when it is done, also where the server was not there for it. */
  async perform(call: Call): Promise<void> {
    switch (call.kind) {
      case "insert":
        return this.#insert(call);
      case "cancel":
        return this.#try(call, (client) => cancel(client, call));
      case "truncate":
        return this.#try(call, truncate);
      case "replay":
        return this.#try(call, async (client) => {
          await client.query(
            `insert into swarm.replayed (id, attempts)
             select net.http_replay(id), attempts from net.http_dead_letter`,
          );
        });
      case "host settings":
        return this.#hostSettings(call);
      case "worker restart":
        return this.#try(call, async (client) => void (await client.query("select net.worker_restart()")));
      case "wake":
        return this.#try(call, async (client) => void (await client.query("select net.wake()")));
    }
  }

  /** Nothing is held back any more by what callers have set. */
  async liftHostSettings(): Promise<void> {
    for (let destination = 0; destination < this.#world.plan.settings.destinations; destination++) {
      this.hostChanges.push({ destination, rate: null, paused: false, askedAt: now(), acknowledgedAt: Infinity });
    }
    await this.#world.db.query("delete from net.http_host_settings");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.end();
  }

  async #insert(call: Insert): Promise<void> {
    const running: Promise<void>[] = [];
    for (let nth = 0; nth < call.transactions; nth++) {
      if (nth > 0) await delay(call.everyMs);
      running.push(this.#try(call, (client) => this.#transaction(client, call)));
    }
    await Promise.all(running);
  }

  async #transaction(client: pg.PoolClient, { rows, openMs, ending, shape }: Insert): Promise<void> {
    const first = this.#nextKey;
    this.#nextKey += rows;
    const transaction: Transaction = {
      first,
      last: first + rows - 1,
      shape,
      ending,
      begunAt: now(),
      commitAt: Infinity,
      acknowledgedAt: Infinity,
    };
    this.transactions.push(transaction);
    if (rows === 1 && ending === "commit" && openMs === 0) {
      transaction.commitAt = now();
      await this.#makeRows(client, shape, first, first);
    } else {
      await client.query("begin");
      if (ending === "asynchronous") await client.query("set local synchronous_commit = off");
      if (ending === "synchronous") await client.query("set local synchronous_commit = on");
      const middle = ending === "savepoint" ? Math.floor((first + transaction.last) / 2) : transaction.last;
      await this.#makeRows(client, shape, first, middle);
      if (ending === "savepoint") {
        await client.query("savepoint half");
        await this.#makeRows(client, shape, middle + 1, transaction.last);
        await client.query("rollback to half");
      }
      if (ending === "prepared") await client.query(`prepare transaction 'swarm ${first}'`);
      if (openMs > 0) await delay(openMs);
      if (ending !== "rollback") transaction.commitAt = now();
      await client.query(endOf(ending, first));
    }
    transaction.acknowledgedAt = now();
  }

  async #makeRows(client: pg.PoolClient, shape: Shape, first: number, last: number): Promise<void> {
    const { destinations, plan } = this.#world;
    const prefix = destinations.prefix(shape.destination);
    const query = shape.failures > 0 ? `?fail=${shape.failures}` : "";
    const values = [prefix, query, first, last, plan.timeoutMs];
    await client.query(shape.via === "insert" ? insertOf(shape) : callOf(shape), values);
  }

  async #hostSettings(call: Extract<Call, { kind: "host settings" }>): Promise<void> {
    const { destination, rate, concurrency, paused } = call;
    await this.#try(call, async (client) => {
      const change = { destination, rate, paused, askedAt: now(), acknowledgedAt: Infinity };
      this.hostChanges.push(change);
      await client.query(
        `insert into net.http_host_settings (host, rate_per_second, concurrency, paused) values ($1, $2, $3, $4)
         on conflict (host) do update set rate_per_second = $2, concurrency = $3, paused = $4`,
        [this.#world.destinations.host(destination), rate, concurrency, paused],
      );
      change.acknowledgedAt = now();
    });
  }

  async #try(call: Call, act: (client: pg.PoolClient) => Promise<void>): Promise<void> {
    const from = now();
    try {
      const client = await this.#pool.connect();
      try {
        await act(client);
        client.release();
      } catch (error) {
        client.release(true);
        throw error;
      }
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (isExcused({ call, sqlstate, from, until: now() }, this.#world.journal.spans)) return;
      const what = call.kind === "insert" ? `insert (${call.ending})` : call.kind;
      const why = error instanceof Error ? error.message : String(error);
      this.failures.push(`P9: ${what} failed: ${why} (${sqlstate ?? "no SQLSTATE"})`);
    }
  }
}

function endOf(ending: Ending, first: number): string {
  if (ending === "prepared") return `commit prepared 'swarm ${first}'`;
  return ending === "rollback" ? "rollback" : "commit";
}

function headersOf({ ownKey }: Shape): string {
  return ownKey ? "jsonb_build_object('Idempotency-Key', 'own-' || k)" : "null::jsonb";
}

function bodyOf({ bodyBytes, method }: Shape): string {
  return method === "GET" ? "null::text" : `repeat('x', ${bodyBytes})`;
}

/** A statement with the url's prefix, its query, the first key, the last key and the timeout. */
function callOf(shape: Shape): string {
  const options = [
    shape.delayMs === null ? [] : [`delay := interval '${shape.delayMs} ms'`],
    shape.maxAttempts === 1
      ? []
      : [`max_attempts := ${shape.maxAttempts}`, "retry_first_ms := 100", "retry_max_ms := 1000"],
    shape.lane === null ? [] : [`lane := '${shape.lane}'`],
    shape.deduplicated ? ["deduplication_key := 'group ' || k % 5"] : [],
  ].flat();
  return `
    insert into swarm.made (key, id)
    select k, net.http_request('${shape.method}', $1::text || k || $2::text, ${bodyOf(shape)},
      headers := ${headersOf(shape)}, timeout_milliseconds := $5::int${options.map((option) => `, ${option}`).join("")})
    from generate_series($3::bigint, $4::bigint) k`;
}

function insertOf(shape: Shape): string {
  return `
    with made as (
      insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
      select '${shape.method}', $1::text || k || $2::text, ${headersOf(shape)}, convert_to(${bodyOf(shape)}, 'UTF8'), $5::int
      from generate_series($3::bigint, $4::bigint) k
      returning id, url
    )
    insert into swarm.made (key, id) select substring(url from '^http://[^/]+/([0-9]+)')::bigint, id from made`;
}

async function cancel(client: pg.PoolClient, call: Extract<Call, { kind: "cancel" }>): Promise<void> {
  await client.query("begin");
  await client.query(
    `with gone as (
       delete from net.http_request_queue
       where id % 2 = 0 and (not $1 or next_attempt_at > clock_timestamp() + interval '2 s')
       returning id, attempts, next_attempt_at
     )
     insert into swarm.cancelled (id, attempts, due, at) select id, attempts, next_attempt_at, clock_timestamp() from gone`,
    [call.onlyDeferred],
  );
  if (call.openMs > 0) await delay(call.openMs);
  // Until it is committed what it deletes waits for everybody else, and is sent when it is due.
  await client.query("update swarm.cancelled set at = clock_timestamp() where xmin = pg_current_xact_id()::xid");
  await client.query(call.commits ? "commit" : "rollback");
}

async function truncate(client: pg.PoolClient): Promise<void> {
  await client.query("begin");
  await client.query("set local lock_timeout = '5s'");
  await client.query("lock table net.http_request_queue in access exclusive mode");
  await client.query(
    `insert into swarm.cancelled (id, attempts, due, at)
     select id, attempts, next_attempt_at, clock_timestamp() from net.http_request_queue`,
  );
  await client.query("truncate net.http_request_queue");
  await client.query("commit");
}
