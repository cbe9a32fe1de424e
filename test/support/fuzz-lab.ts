import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type Canary, openCanary } from "./canary.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { type FuzzRow, SECRET } from "./fuzz-row.ts";
import { type HttpPeer, type Received, always, httpPeer } from "./http-peer.ts";
import { type TestDatabase, testDatabase } from "./postgres.ts";
import { judge, probe } from "./fuzz-probe.ts";
import { peakMb } from "./resident.ts";

/** What one batch came to. */
export interface BatchReport {
  /** What is wrong; null when nothing is. */
  readonly wrong: string | null;
  /** Ids of rows that are named in it. */
  readonly suspects: readonly string[];
  /** The request to a healthy host after the batch, in milliseconds: the first of its probes. */
  readonly healthyMs: number;
  /** The most memory the daemon ever had resident; 0 where the system does not say. */
  readonly peakMb: number;
  /** How many rows ended in which way: answered, or the word for why not. */
  readonly ends: Readonly<Record<string, number>>;
}

/** A daemon that cases are thrown at, and what they can reach. */
export interface Lab extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly daemon: Daemon;
  readonly canary: Canary;
  /** The server that cases are sent to, on 127.0.0.1. */
  readonly target: HttpPeer;
  /** Waits until these rows have ended, at least one within `withinMs`, checks everything, and empties the tables for the next batch. */
  check(ids: readonly string[], withinMs: number, verify?: () => Promise<string | null>): Promise<BatchReport>;
}

export interface LabOptions {
  /** What the target answers. */
  readonly answer: (socket: Socket, received: Received) => void;
  /** Beside what every lab sets. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * P5, in MB: 100 for Node, 64 each for requests and answers, 0.2 for each of 512 connections; and half of that for what is not
 * collected yet.
 */
export const MEMORY_BOUND_MB = 512;

/** How long a machine that others load may take to start the daemons. */
const LIVE_WITHIN_MS = 60_000;

/** Opens the lab: memory too small for a batch, and the canary as proxy of the environment. */
export async function openLab({ answer, env = {} }: LabOptions): Promise<Lab> {
  const parts = new AsyncDisposableStack();
  try {
    const db = parts.use(await testDatabase());
    const canary = parts.use(await openCanary());
    const target = parts.use(await httpPeer(answer));
    const healthy = parts.use(await httpPeer(always("ok")));
    const proxy = `http://127.0.0.1:${canary.port}`;
    const idle = parts.use(await testDatabase());
    const idleDaemon = parts.use(await startDaemon({ databaseUrl: idle.url, waitUntilReady: false }));
    const daemon = parts.use(
      await startDaemon({
        databaseUrl: db.url,
        waitUntilReady: false,
        env: {
          PGNETD_RATE_PER_SECOND: "unlimited",
          PGNETD_ALLOW_NETWORKS: "127.0.0.1/32",
          PGNETD_MEMORY_REQUESTS: "2000",
          PGNETD_MAX_RESPONSE_BYTES: "1MiB",
          PGNETD_LOG_LEVEL: "debug",
          NODE_OPTIONS: "--max-old-space-size=256",
          HTTP_PROXY: proxy,
          HTTPS_PROXY: proxy,
          ALL_PROXY: proxy,
          ...env,
        },
      }),
    );
    await Promise.all([idleDaemon.live(LIVE_WITHIN_MS), daemon.live(LIVE_WITHIN_MS)]);
    const owned = parts.move();
    return new RunningLab({ db, idle, canary, target, healthy, daemon }, owned);
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
}

interface Parts {
  readonly db: TestDatabase;
  readonly idle: TestDatabase;
  readonly canary: Canary;
  readonly target: HttpPeer;
  readonly healthy: HttpPeer;
  readonly daemon: Daemon;
}

class RunningLab implements Lab {
  readonly db: TestDatabase;
  readonly daemon: Daemon;
  readonly canary: Canary;
  readonly target: HttpPeer;
  readonly #idle: TestDatabase;
  readonly #healthy: HttpPeer;
  readonly #owned: AsyncDisposableStack;
  #logRead = 0;
  #ended: string | null = null;

  constructor({ db, idle, canary, target, healthy, daemon }: Parts, owned: AsyncDisposableStack) {
    this.db = db;
    this.canary = canary;
    this.target = target;
    this.#idle = idle;
    this.#healthy = healthy;
    this.daemon = daemon;
    this.#owned = owned;
    void daemon.ended.then(({ code, signal }) => (this.#ended = `the daemon ended with ${signal ?? code}`));
  }

  async check(ids: readonly string[], withinMs: number, verify?: () => Promise<string | null>): Promise<BatchReport> {
    const unended = await this.#unended(withinMs);
    const misplaced = await this.#misplaced(ids);
    const wrong: (string | null)[] = [
      ...describe("not ended", unended),
      ...misplaced.flatMap(([what, list]) => describe(what, list)),
    ];
    if (verify !== undefined) wrong.push(await verify());
    const canAnswer = unended.length === 0 && this.#ended === null;
    const probes = canAnswer ? await probe(this.db, this.#idle, this.#healthy.port) : [];
    wrong.push(judge(probes));
    const peak = await peakMb(this.daemon.pid).catch(() => 0);
    if (peak > MEMORY_BOUND_MB) wrong.push(`${Math.round(peak)} MB of memory`);
    wrong.push(...this.#logged(), this.#ended);
    const ends = await this.#ends();
    if (this.canary.reached.length > 0) wrong.push(`forbidden: ${this.canary.reached.slice(0, 5).join(" | ")}`);
    if (this.#ended === null) await this.#clear();
    const all = wrong.filter((one) => one !== null);
    const suspects = [...unended, ...misplaced.flatMap(([, list]) => list)];
    const healthyMs = probes[0]?.ms ?? Infinity;
    return { wrong: all.length === 0 ? null : all.join("\n"), suspects, healthyMs, peakMb: peak, ends };
  }

  /** Waits until every row is gone from the outbox that does not wait for a time to come; gives those that are left when `withinMs` brought none nearer. */
  async #unended(withinMs: number): Promise<readonly string[]> {
    let [fewest, fewestAt] = [Infinity, performance.now()];
    for (;;) {
      const rows = await this.db.query<{ id: string }>(
        `select id::text from net.http_request_queue
         where next_attempt_at is null or next_attempt_at <= now() + interval '10 minutes'`,
      );
      const now = performance.now();
      if (rows.length < fewest) [fewest, fewestAt] = [rows.length, now];
      if (rows.length === 0 || this.#ended !== null || now - fewestAt > withinMs) return rows.map(({ id }) => id);
      await delay(20);
    }
  }

  /** P2: each row is in exactly one place, and answers are either answers or errors. */
  async #misplaced(ids: readonly string[]): Promise<readonly (readonly [what: string, ids: string[]])[]> {
    const [row] = await this.db.query<Record<"lost" | "doubled" | "foreign" | "odd", string[]>>(
      `with ended as materialized (
        select id from net._http_response union all select id from net.http_dead_letter union all select id from net.http_request_queue
      ), given as materialized (select unnest($1::bigint[]) as id)
      select array(select id::text from given except select id::text from ended) as lost,
        array(select id::text from ended group by id having count(*) > 1) as doubled,
        array(select id::text from ended except select id::text from given) as "foreign",
        array(select id::text from net._http_response where (status_code is null) = (error_msg is null)
          or timed_out is null or headers ? 'X-Smuggled') as odd`,
      [ids],
    );
    return Object.entries(row ?? {});
  }

  async #ends(): Promise<Readonly<Record<string, number>>> {
    const rows = await this.db.query<{ how: string; count: number }>(
      `select how, count(*)::int as count from (
        select coalesce(error_code, 'answered') as how from net.http_response_detail
        union all select 'dead' from net.http_dead_letter union all select 'waiting' from net.http_request_queue
      ) as one group by how order by count desc`,
    );
    return Object.fromEntries(rows.map(({ how, count }) => [how, count]));
  }

  /** P11, and nothing that an operator would have to look at. */
  #logged(): readonly string[] {
    const text = this.daemon.log();
    const fresh = text.slice(this.#logRead);
    this.#logRead = text.lastIndexOf("\n") + 1;
    const lines = fresh.split("\n");
    const leaks = lines.filter((line) => line.includes(SECRET));
    const alarms = lines.filter(
      (line) => line !== "" && !/^\{"level":"(?:debug|info)"/.test(line) && !isExpected(line),
    );
    return [...leaks.slice(0, 2).map((line) => `a secret is logged: ${line}`), ...alarms.slice(0, 5)];
  }

  async #clear(): Promise<void> {
    await this.db.query("delete from net.http_request_queue");
    await this.db.query("delete from net._http_response");
    await this.db.query("delete from net.http_response_detail");
    await this.db.query("delete from net.http_dead_letter");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

/** Large answers of one host hold it back; that is said. */
function isExpected(line: string): boolean {
  return line.includes('"msg":"no request to this host starts: its answers fill its share of memory"');
}

function describe(what: string, ids: readonly string[]): readonly string[] {
  return ids.length === 0 ? [] : [`${ids.length} ${what}: ${ids.slice(0, 5).join(", ")}`];
}

/** Ids for a batch: those that cases ask for, unless two ask for the same, and numbers of the batch for all others. */
export function idsOf(rows: readonly FuzzRow[], batch: number): readonly string[] {
  const taken = new Set<string>();
  return rows.map(({ id }, at) => {
    const own = id === null || taken.has(id) ? String((batch + 1) * 1_000_000 + at) : id;
    taken.add(own);
    return own;
  });
}
