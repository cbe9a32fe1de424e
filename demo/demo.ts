import { randomBytes } from "node:crypto";
import pg from "pg";
import { systemClock } from "../src/base/clock.ts";
import { PgnetdError } from "../src/base/errors.ts";
import type { Log } from "../src/base/log.ts";
import { runLoops, stopped } from "../src/base/loops.ts";
import { type Environment, readConfig } from "../src/config/load.ts";
import { migrate } from "../src/pg/migrate.ts";
import { run } from "../src/cli/run.ts";
import { type Arrival, describeArrival, openReceiver } from "../src/cli/receiver.ts";
import { type LocalPostgres, startPostgres } from "./embedded-postgres.ts";
import { freePort } from "./free-port.ts";
import { openPage, type Page } from "./page.ts";
import { COMMITTED_ITEMS, PATH, SELECT_ANSWERS, type Story, story } from "./story.ts";
import { traffic } from "./traffic.ts";

/** What the demo needs. */
export interface DemoOptions {
  /** Ends after one round, with an error where it did not go as it must. */
  readonly once: boolean;
  /** Settings of the daemon; those the demo needs are put on top. */
  readonly env: Environment;
  readonly log: Log;
  /** Receives the lines of the page. */
  readonly print: (line: string) => void;
}

const ROUND_TIMEOUT_MS = 30_000;
const PREFERRED_PORT = 9464;

/** Shows the whole path of a request on this machine, then stays up until `stop` fires. Leaves nothing behind. */
export async function demo(options: DemoOptions, stop: AbortSignal): Promise<void> {
  const page = openPage(options.print);
  const arrivals = new Arrivals();
  page.heading("pgnetd demo");

  await using server = await timed(page, "PostgreSQL started", () => startPostgres(), describeServer);
  await timed(
    page,
    "schema installed",
    () => migrate(server.url()),
    ({ to }) => `version ${to}`,
  );
  await using receiver = await timed(page, "receiver listening", () => openReceiver(arrivals), byAddress);
  await using db = await connect(server.url());
  await using daemon = await timed(page, "daemon ready", () => startDaemon(options, server.url()), byAddress);
  if (stop.aborted) return;

  const steps = story(receiver.address);
  const round = playRound(page, steps, db.client, arrivals);
  await Promise.race([round, daemon.ended, stopped(stop)]);
  if (stop.aborted) return;

  page.heading(options.once ? "To try it by hand, run it without --once; the round passed" : "Try it by hand");
  page.block(`psql ${server.url()}`);
  page.block(steps.byHand.join("\n"));
  page.line("");
  page.line(`receiver  ${receiver.address}`);
  page.line(`page      ${daemon.address}/ has live traffic to look at; the token for its actions is ${daemon.token}`);
  page.line(`daemon    ${daemon.address}/healthz and /readyz`);
  if (options.once) return;

  page.heading("Running until Ctrl-C; every further request is shown here");
  arrivals.report((arrival) => page.line(describeArrival(arrival)));
  await runLoops(stop, [
    (signal) => traffic(db.client, signal),
    (signal) => Promise.race([stopped(signal), daemon.ended]),
  ]);
  page.line("stopping");
}

function describeServer(server: LocalPostgres): string {
  return `127.0.0.1:${server.port}, wal_level=logical, removed at the end`;
}

function byAddress({ address }: { readonly address: string }): string {
  return address;
}

async function timed<T>(page: Page, what: string, act: () => Promise<T>, where: (value: T) => string): Promise<T> {
  const start = performance.now();
  const value = await act();
  page.done(what, performance.now() - start, where(value));
  return value;
}

/** What the receiver has got so far. */
class Arrivals {
  readonly all: Arrival[] = [];
  #reporter: ((arrival: Arrival) => void) | undefined;

  readonly onRequest = (arrival: Arrival): void => {
    if (this.#reporter === undefined) this.all.push(arrival);
    else this.#reporter(arrival);
  };

  /** Reports each one from now on, and no longer keeps them. */
  report(reporter: (arrival: Arrival) => void): void {
    this.#reporter = reporter;
  }
}

async function connect(url: string): Promise<AsyncDisposable & { readonly client: pg.Client }> {
  const client = new pg.Client({ connectionString: url, application_name: "pgnetd demo" });
  client.on("error", () => undefined);
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

/** A daemon inside this process. `ended` rejects when it fails, and resolves when it is stopped. */
interface RunningDaemon extends AsyncDisposable {
  readonly address: string;
  /** For actions on its page. */
  readonly token: string;
  readonly ended: Promise<void>;
}

async function startDaemon(options: DemoOptions, databaseUrl: string): Promise<RunningDaemon> {
  const token = options.env["PGNETD_PAGE_TOKEN"] ?? randomBytes(12).toString("hex");
  const loaded = readConfig({
    env: {
      PGNETD_PAGE_URLS: "path",
      ...options.env,
      PGNETD_PAGE_TOKEN: token,
      DATABASE_URL: databaseUrl,
      PGNETD_ENVIRONMENT: "",
      PGNETD_HTTP_MODE: "send",
      PGNETD_ALLOW_NETWORKS: "127.0.0.0/8,::1/128",
      PGNETD_HOST: "127.0.0.1",
      PGNETD_PORT: String(await freePort(Number(options.env["PGNETD_PORT"] ?? PREFERRED_PORT))),
    },
  });
  const stop = new AbortController();
  const ended = run({ load: () => loaded, log: options.log, stop: stop.signal }).then(() => {
    if (!stop.signal.aborted) throw new PgnetdError("INTERNAL", "the daemon ended by itself");
  });
  let failed = false;
  ended.catch(() => (failed = true));
  const address = `http://127.0.0.1:${loaded.config.server.port}`;
  const daemon = {
    address,
    token,
    ended,
    async [Symbol.asyncDispose](): Promise<void> {
      // Already reported: whoever waited for `ended` has the reason.
      if (failed) return;
      stop.abort();
      await ended;
    },
  };
  try {
    await Promise.race([until("the daemon is ready", () => isReady(address)), ended]);
  } catch (error) {
    stop.abort();
    await ended.catch(() => undefined);
    throw error;
  }
  return daemon;
}

async function isReady(address: string): Promise<boolean> {
  const response = await fetch(`${address}/readyz`).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

/** Fires the story's triggers and shows what came of them; throws where it is not what must come. */
async function playRound(page: Page, steps: Story, client: pg.Client, arrivals: Arrivals): Promise<void> {
  page.heading("A table whose rows call a webhook");
  await client.query(steps.setUp);
  page.block(steps.setUp);

  page.heading("Two orders, and one that is rolled back");
  page.block(`${steps.rolledBack}\n${steps.committed}`);
  await client.query(steps.rolledBack);
  const sent = Date.now();
  await client.query(steps.committed);
  const count = COMMITTED_ITEMS.length;
  await until(`${count} requests have come`, () => Promise.resolve(arrivals.all.length >= count));
  const answers = await until(`${count} answers are stored`, async () => {
    const { rows } = await client.query<Record<string, unknown>>(SELECT_ANSWERS);
    return rows.length >= count ? rows : false;
  });

  page.heading("What the receiver got");
  for (const arrival of arrivals.all) {
    page.line(`${arrival.method} ${arrival.path}  ${arrival.at.getTime() - sent} ms after the insert was sent`);
    for (const name of ["content-type", "user-agent", "idempotency-key"]) {
      const value = arrival.headers[name];
      if (value !== undefined) page.line(`  ${name}: ${String(value)}`);
    }
    page.line(`  ${arrival.body}`);
  }
  page.heading("What the database has");
  page.block(`${SELECT_ANSWERS};`);
  page.line("");
  page.table(answers);
  verify(arrivals.all, answers);
  page.line("");
  page.line("Nothing was sent for the order that was rolled back.");
}

function verify(arrivals: readonly Arrival[], answers: readonly Readonly<Record<string, unknown>>[]): void {
  const problems: string[] = [];
  const items = arrivals.map((one) => (JSON.parse(one.body) as { readonly item?: string }).item ?? "");
  if (items.toSorted().join() !== [...COMMITTED_ITEMS].toSorted().join()) {
    problems.push(`the receiver got ${items.join(", ")} instead of ${COMMITTED_ITEMS.join(", ")}`);
  }
  if (arrivals.some((one) => one.method !== "POST" || one.path !== PATH)) problems.push(`not all were POST ${PATH}`);
  if (answers.length !== COMMITTED_ITEMS.length) problems.push(`${answers.length} answers are stored`);
  if (answers.some((row) => row["status_code"] !== 200)) problems.push("not all answers are 200");
  if (problems.length > 0) throw new PgnetdError("INTERNAL", `the demo went wrong: ${problems.join("; ")}`);
}

/** Resolves to what `probe` gives once that is not false; rejects after 30 s with what did not happen. */
async function until<T>(what: string, probe: () => Promise<T | false>): Promise<T> {
  const deadline = AbortSignal.timeout(ROUND_TIMEOUT_MS);
  while (!deadline.aborted) {
    const value = await probe();
    if (value !== false) return value;
    await systemClock.sleep(20, deadline);
  }
  throw new PgnetdError("INTERNAL", `not within ${ROUND_TIMEOUT_MS / 1000} s: ${what}`);
}
