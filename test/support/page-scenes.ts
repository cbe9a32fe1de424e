import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "./eventually.ts";
import { startInProcess } from "./in-process-daemon.ts";
import { startReceiver } from "./receiver.ts";
import { testServer } from "./server.ts";

/** What the page is shown in. */
export type SceneName = "idle" | "flood" | "dead-host" | "slot-at-risk";

/** A daemon with a page worth looking at. */
export interface Scene extends AsyncDisposable {
  readonly address: string;
}

const TOKEN = "a-token-of-the-scene-0123";

interface Stage {
  readonly db: pg.Client;
  /** Another session, which makes what is repeated. */
  readonly traffic: pg.Client;
  /** The url of one of the hosts; `dead` leads to a port where nobody listens. */
  readonly url: (host: string, path?: string) => string;
}

/** What goes on; resolves when the page has something of it to show. Afterwards `each` is repeated every second. */
const SCENES: Readonly<Record<SceneName, { readonly begin: (stage: Stage) => Promise<void>; readonly each: string }>> =
  {
    idle: {
      begin: async ({ db, url }) => {
        await db.query("select net.http_post($1, '{}') from generate_series(1, 40)", [url("orders", "/hooks")]);
      },
      each: "select 1",
    },
    flood: {
      begin: async ({ db, url }) => {
        await db.query("select net.http_post($1, '{}') from generate_series(1, 20000)", [url("imports", "/rows")]);
      },
      each: "select net.http_post($1 || '/orders', '{}'), net.http_get($1 || '/mails') from generate_series(1, 5)",
    },
    "dead-host": {
      begin: async ({ db, url }) => {
        await db.query("insert into net.http_host_settings (host, paused) values ('search.localhost', true)");
        await db.query("select net.http_post($1, '{}') from generate_series(1, 12)", [url("search")]);
        const call = "select net.http_request('POST', $1, body := '{}', max_attempts := $2, retry_first_ms := $3)";
        await db.query(`${call} from generate_series(1, 60)`, [url("dead", "/hooks/7"), 8, 20_000]);
        await db.query(`${call} from generate_series(1, 4)`, [url("failing", "/status/503"), 2, 1]);
        await eventually(
          async () => (await db.query("select from net.http_dead_letter limit 1")).rowCount === 1,
          20_000,
        );
      },
      each: "select net.http_post($1 || '/orders', '{}'), net.http_get($1 || '/mails') from generate_series(1, 5)",
    },
    "slot-at-risk": {
      begin: async ({ db, traffic }) => {
        // A transaction that has written and does not end: the slot must keep the WAL since it began.
        await db.query("begin");
        await db.query("create table written ()");
        while (await nearerToTheLimit(traffic));
      },
      each: "select net.http_post($1 || '/orders', '{}') from generate_series(1, 5)",
    },
  };

/** Opens a scene on a server of its own. */
export async function openScene(name: SceneName): Promise<Scene> {
  await using opening = new AsyncDisposableStack();
  const server = opening.use(
    await testServer({ wal_level: "logical", max_slot_wal_keep_size: "128MB", max_wal_size: "64MB" }),
  );
  await migrate(server.url());
  const receiver = opening.use(await startReceiver());
  receiver.behave(({ path }) => ({ kind: "answer", status: path.startsWith("/status") ? 503 : 200, delayMs: 20 }));
  const db = await connect(opening, server.url());
  const daemon = opening.use(
    await startInProcess(server.url(), {
      PGNETD_PAGE_TOKEN: TOKEN,
      PGNETD_PAGE_URLS: "path",
      PGNETD_RATE_PER_SECOND: "100",
    }),
  );
  const closed = await startReceiver();
  const url = (host: string, path = "/"): string =>
    `http://${host}.localhost:${host === "dead" ? closed.port : receiver.port}${path}`;
  await closed[Symbol.asyncDispose]();
  const { begin, each } = SCENES[name];
  const traffic = await connect(opening, server.url());
  await begin({ db, traffic, url });
  const stop = new AbortController();
  const repeated = repeat(async () => {
    await traffic.query(each, each.includes("$1") ? [url("shop").replace(/\/$/, "")] : []);
    if (name === "slot-at-risk") await nearerToTheLimit(traffic);
  }, stop.signal);
  repeated.catch(() => undefined);
  opening.defer(async () => {
    stop.abort();
    await repeated;
  });
  const opened = opening.move();
  return { address: daemon.address, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

async function connect(opening: AsyncDisposableStack, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  opening.defer(() => client.end());
  return client;
}

/** One segment of WAL more, until the slot may keep one more alone; then false. */
async function nearerToTheLimit(db: pg.Client): Promise<boolean> {
  const { rows } = await db.query<{ left: string }>("select safe_wal_size as left from pg_replication_slots");
  if (Number(rows[0]?.left) < 24 * 1024 ** 2) return false;
  await db.query("select pg_logical_emit_message(false, 'scene', 'x')");
  await db.query("select pg_switch_wal()");
  return true;
}

async function repeat(act: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await act();
    await delay(1_000, undefined, { signal }).catch(() => undefined);
  }
}
