import pg from "pg";
import { Client, socketOf } from "./client.ts";
import { rowSecurityProblem } from "./row-security.ts";
import { PIN_SESSION, PINNED_PATH } from "./search-path.ts";
import { OWN_SESSIONS } from "./session-name.ts";
import { isDataError, SQLSTATE, sqlstateOf } from "./sqlstate.ts";
import { valueTypes } from "./value-parsers.ts";

/** One statement with its parameters; those with a `name` are prepared once per connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: unknown[];
  /** Ends it sooner than others end: milliseconds. A pool spends two more statements on it; elsewhere it means nothing. */
  readonly timeoutMs?: number;
}

/** What the modules ask of a database: one statement. A `pg.Pool` and a `pg.Client` are such. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(
    statement: Statement,
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }>;
}

/** How ordinary connections are made. */
export interface PoolOptions {
  readonly url: string;
  /** Most connections. */
  readonly size: number;
  /** A statement that has not answered by then fails, and its connection with it: milliseconds. */
  readonly statementTimeoutMs: number;
  /** Drops every connection, with what is under way on it: a server that does not answer holds up no end. */
  readonly signal?: AbortSignal;
  /** Told when the server has no further connection for a pool that has some, and when it has more again. */
  readonly fewer?: { failed(error: unknown): void; succeeded(): void };
}

/** How long a pool makes do with the connections that it has, in milliseconds, when the server has refused it a further one. */
const FEWER_MS = 60_000;

/**
 * A connection whose peer is gone is given up by the server after 5 s. The rest is what statements here rely on, in place
 * of what a database or a role may have set for its own applications.
 */
const SESSION_SETTINGS = [
  "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3",
  "-c datestyle=ISO -c bytea_output=hex -c standard_conforming_strings=on -c array_nulls=on -c transform_null_equals=off",
  "-c quote_all_identifiers=off -c extra_float_digits=1 -c intervalstyle=postgres",
  "-c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0",
  "-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_isolation=read\\ committed",
].join(" ");

/**
 * The outbox goes from empty to a million rows and back faster than statistics follow, so plans are pinned to its
 * indexes, and made once: the sweep takes longer to plan than to run. `jit` would cost more than any of our statements.
 */
const PLAN_SETTINGS =
  "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off -c jit=off -c plan_cache_mode=force_generic_plan";

/**
 * Settings of every connection of pgnetd: its name in `pg_stat_activity`, the pinned search_path, and how soon a dead peer
 * is noticed. Options at the start win over what roles and databases have set. `options` in the url come before our own,
 * which so win: `pg` alone would take those of the url in place of ours.
 */
export function connectionConfig(url: string, applicationName: string): pg.ClientConfig {
  return configWith(url, applicationName, `-c search_path=${PINNED_PATH}`);
}

function configWith(url: string, applicationName: string, settings: string): pg.ClientConfig {
  const connectionString = new URL(url);
  const others = connectionString.searchParams.get("options") ?? "";
  connectionString.searchParams.delete("options");
  // `pg` takes these in the name of a database as they are, but does not decode them.
  connectionString.pathname = connectionString.pathname.replaceAll(/%(?:2[4BC6]|3[ABD]|40)/gi, decodeURIComponent);
  return {
    connectionString: connectionString.href,
    application_name: applicationName,
    types: valueTypes,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 2_000,
    options: `${others} ${SESSION_SETTINGS} ${settings}`.trim(),
  };
}

/** A pool of ordinary connections. */
export interface Pool extends Queryable, AsyncDisposable {
  /** Drops every connection, with what is under way on it; others are made when next used. */
  reconnect(): void;
  /** The same, but what is under way on one ends first. */
  renew(): void;
}

/**
 * Opens the pool of ordinary connections; they are made when first used. Each begins with the statement that pins its
 * search_path and row_security, not with options: what they are reset to is so what the database has for its users, for `TRIGGERS_AS_FOR_USERS`.
 */
export function openPool(options: PoolOptions): Pool {
  const clients = new Set<pg.ClientBase>();
  const outdated = new WeakSet<pg.ClientBase>();
  class KnownClient extends Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      clients.add(this);
      this.once("end", () => clients.delete(this));
    }
  }
  const pool = new pg.Pool({
    // On the server, too: a statement that waits for a lock would else outlive the client's query_timeout.
    ...configWith(options.url, OWN_SESSIONS, `${PLAN_SETTINGS} -c statement_timeout=${options.statementTimeoutMs}`),
    Client: KnownClient,
    // Not `verify`: where the wait for a connection times out meanwhile, pg-pool never lends that connection again. It waits for the
    // promise, which its type does not say.
    onConnect: pin,
    max: options.size,
    idleTimeoutMillis: 30_000,
    query_timeout: options.statementTimeoutMs,
  });
  // A connection that dies while idle is replaced at the next use. One that dies while it is lent, between two
  // statements, is reported by itself: without a listener that would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const reconnect = (): void => {
    for (const client of clients) socketOf(client).destroy();
  };
  options.signal?.addEventListener("abort", reconnect, { once: true });
  const made = new Set<pg.ClientBase>();
  const fewer = { count: options.size, until: 0 };
  pool.on("connect", (client) => {
    made.add(client);
    if (made.size <= fewer.count) return;
    fewer.count = options.size;
    options.fewer?.succeeded();
  });
  pool.on("remove", (client) => made.delete(client));
  // What the server gives to others, or a limit on role or database below the size of the pool, fails no statement while there
  // is a connection for it to wait for.
  const connection = async (): Promise<pg.PoolClient> => {
    if (performance.now() >= fewer.until) pool.options.max = options.size;
    try {
      return await pool.connect();
    } catch (error) {
      if (sqlstateOf(error) !== SQLSTATE.tooManyConnections || pool.totalCount === 0) throw error;
      fewer.count = Math.max(1, made.size);
      fewer.until = performance.now() + FEWER_MS;
      pool.options.max = fewer.count;
      const client = await pool.connect();
      options.fewer?.failed(error);
      return client;
    }
  };
  return {
    query: async <Row extends pg.QueryResultRow>(statement: Statement) => {
      const client = await connection();
      let isOfUse = false;
      try {
        const result = await (statement.timeoutMs === undefined
          ? client.query<Row>(statement)
          : queryInTime<Row>(client, statement, Math.min(statement.timeoutMs, options.statementTimeoutMs)));
        isOfUse = !outdated.has(client);
        return result;
      } catch (error) {
        // After an error of the data a connection is as good as before; after any other it is not used again.
        isOfUse = isDataError(error) && statement.timeoutMs === undefined && !outdated.has(client);
        // A session keeps what its database was set to when it began; and after a failover another server may answer.
        if (sqlstateOf(error) === SQLSTATE.readOnlyTransaction) reconnect();
        throw sqlstateOf(error) === SQLSTATE.insufficientPrivilege ? await explained(error, client) : error;
      } finally {
        client.release(!isOfUse);
      }
    },
    reconnect,
    renew: () => {
      for (const client of clients) outdated.add(client);
      const recycle = (client: pg.PoolClient): void => client.release(outdated.has(client));
      for (let idle = pool.idleCount; idle > 0; idle--) pool.connect().then(recycle, () => undefined);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

/**
 * P2: with `row_security` off a statement fails from which row security would hide rows. Else they would look cancelled, and what was
 * prepared meanwhile would go on hiding them from a role that was given BYPASSRLS since.
 */
function pin(client: pg.ClientBase): unknown {
  return client.query(`${PIN_SESSION}, pg_catalog.set_config('row_security', 'off', false)`);
}

/** A missing right, and row security that would hide rows, have the same SQLSTATE: the latter is told in its own words. */
async function explained(error: unknown, client: pg.ClientBase): Promise<unknown> {
  return (await rowSecurityProblem(client).catch(() => null)) ?? error;
}

/** Where it fails, the connection keeps the timeout. */
async function queryInTime<Row extends pg.QueryResultRow>(
  client: pg.ClientBase,
  statement: Statement,
  timeoutMs: number,
): Promise<pg.QueryResult<Row>> {
  await client.query(`set statement_timeout = ${timeoutMs}`);
  const result = await client.query<Row>(statement);
  await client.query("reset statement_timeout");
  return result;
}
