import { isDeepStrictEqual } from "node:util";

import { systemClock } from "../base/clock.ts";
import type { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops, stopped } from "../base/loops.ts";
import { answerMemory } from "../config/answer-memory.ts";
import type { LoadedConfig } from "../config/load.ts";
import { withPgNetSettings } from "../config/pg-net.ts";
import { Control } from "../dispatch/control.ts";
import { Dispatcher, type DispatcherParts } from "../dispatch/dispatcher.ts";
import { idempotencyKey } from "../http/idempotency.ts";
import { openClient } from "../http/mode.ts";
import { AnswerBudget } from "../limits/answer-budget.ts";
import { reportHeld } from "../limits/held-report.ts";
import { HostRates } from "../limits/host-rates.ts";
import { openRateLimit } from "../limits/rate.ts";
import type { HealthSource } from "../ops/health.ts";
import { reportLanes } from "../ops/lane-report.ts";
import { SlotWatch } from "../ops/slot-watch.ts";
import { healthOf } from "../ops/status.ts";
import { readHostSettings, ratesOf } from "../outbox/host-settings.ts";
import { SchemaWatch } from "../outbox/schema-watch.ts";
import { currentSnapshot, sweep } from "../outbox/sweep.ts";
import { awaitSchema } from "../pg/await-schema.ts";
import { type Installation, readInstallation, recordPlace, refuseOthers } from "../pg/installation.ts";
import { migrate } from "../pg/migrate.ts";
import { type PgNetSettings, readPgNetSettings } from "../pg/pg-net-settings.ts";
import { PG_NET_VERSION } from "../pg/placeholder.ts";
import { connectionConfig, openPool } from "../pg/pool.ts";
import { expireResults, retentionOf } from "../results/retention.ts";
import { openResultWriter } from "../results/writer.ts";
import { perLaneBound } from "../sending/memory.ts";
import { openDecoder } from "../wal/decoder.ts";
import { LOCK_CLASS_ID } from "../wal/advisory-lock.ts";
import { LEADER_APPLICATION } from "../leader/holder.ts";
import { LivenessTimeout } from "../replication/liveness-timeout.ts";
import { pollSession } from "../replication/poll-session.ts";
import { streamSession } from "../replication/stream-session.ts";
import { type Sessions, superviseSessions } from "../replication/supervise.ts";
import type { StreamOutage } from "../slot/stream-outage.ts";

/** What a running daemon is given from outside. */
export interface DaemonOptions {
  readonly loaded: LoadedConfig;
  readonly log: Log;
  /** Ends intake: what is in flight ends and is written. */
  readonly stop: AbortSignal;
  /** Cancels what is still in flight. */
  readonly kill: AbortSignal;
  /** Called when `net.worker_restart()` asks for the settings to be loaded and for new connections; any role may, at any rate. */
  readonly restart: (refresh: Refresh) => void;
  /** Called when the schema was dropped, or made anew: everything begins anew, and waits for it. */
  readonly renew: () => void;
  /** Given the daemon's health, at once. */
  readonly watched: (source: HealthSource) => void;
  /** Where another daemon of this process leads: ends it, and resolves when it has ended. */
  readonly handover?: (() => Promise<void>) | undefined;
}

/**
 * Makes the ordinary connections anew and reads the outbox and the settings of hosts once more; nothing in flight is ended,
 * and the lead is kept. False where the settings, those in the database included, are others: these need a daemon of their own.
 */
export type Refresh = (now: LoadedConfig) => Promise<boolean>;

const OUTBOX_TABLE = "net.http_request_queue";

/** Joins the rooms and runs them until `stop` fires and everything in flight is written, or `kill` does. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { loaded, log, stop, kill, restart, renew, watched, handover } = options;
  const clock = systemClock;
  const { database, slot, migrate: migration } = loaded.config;
  const { mode } = loaded.config.http;
  let current: Dispatcher | null = null;
  let outage: StreamOutage | null = null;
  let waitingFor: PgnetdError | null = null;

  await using pool = openPool({ ...database, size: database.poolSize, signal: kill });
  const watch = new SlotWatch({ db: pool, slotName: slot.name, clock, log });
  watched({
    health: () => healthOf({ state: current?.state ?? null, outage, database: watch.last, mode, waitingFor }),
    asked: () => watch.look(),
  });
  if (mode === "capture") log.warn({ mode }, "requests are recorded as answers: nothing is sent");
  const { environment } = database;
  const prepare = async (): Promise<void> => {
    await refuseOthers(pool, environment);
    if (!migration.atStart) return;
    const { from, to } = await migrate(database.url, {
      environment: { name: environment, claim: false },
      signal: stop,
      waiting: (problem) => {
        log.warn({ code: problem.code, hint: problem.hint }, problem.message);
        waitingFor = problem;
      },
    });
    if (from !== to) log.info({ from, to }, "the schema is migrated");
  };
  const identify = (): Promise<Installation> => readInstallation(pool, environment);
  const read = async (): Promise<readonly [Installation, PgNetSettings]> => [
    await identify(),
    await readPgNetSettings(pool),
  ];
  const waiting = (problem: PgnetdError | null): void => {
    waitingFor = problem;
  };
  const known = await awaitSchema(pool, { prepare, read }, { clock, log, signal: stop, waitingFor: waiting });
  if (known === null) return;
  const [installation, pgNet] = known;
  let { id } = installation;
  const db = new SchemaWatch({ db: pool, outbox: installation.outbox, log, gone: renew });
  const effective = withPgNetSettings(loaded, pgNet);
  const { http, outbox, results, rate } = effective;

  const pump = (): void => current?.pump();
  using limit = openRateLimit({ perSecond: rate.perSecond, onPermit: pump, clock });
  using hostRates = new HostRates(clock, (host) => current?.release(host));
  const answers = new AnswerBudget({
    bounds: {
      bytes: answerMemory({ http, results }),
      largest: http.maxResponseBytes,
      inFlight: http.concurrency,
      requests: outbox.memoryRequests,
    },
    clock,
    onRoom: () => current?.answersHaveRoom(),
  });
  await using client = openClient(http.mode, {
    ...http,
    userAgent: `pg_net/${PG_NET_VERSION} (pgnetd)`,
    // What one host may have is for the dispatcher to say: a host may be given more than the default.
    connectionsPerOrigin: http.concurrency,
  });
  await using writer = openResultWriter({
    db,
    listener: {
      settled: (completions) => current?.settled(completions),
      gone: () => current?.gone(),
      writable: (ok) => current?.writable(ok),
    },
    log,
    clock,
    signal: kill,
  });
  const refresh: Refresh = async (now) => {
    if (!isDeepStrictEqual(now, loaded)) return false;
    pool.renew();
    if (!isDeepStrictEqual(withPgNetSettings(now, await readPgNetSettings(pool)), effective)) return false;
    control.refresh();
    current?.refresh();
    return true;
  };
  const control = new Control({
    // P3: in each lead, since the database may have been restored or adopted meanwhile.
    identify: async () => {
      ({ id } = await identify());
    },
    readHosts: () => readHostSettings(db),
    configureHosts: (settings) => {
      hostRates.configure(ratesOf(settings));
      current?.configureHosts(settings);
    },
    assumeSpent: () => {
      limit.assumeSpent();
      hostRates.assumeSpent();
    },
    restart: () => restart(refresh),
    clock,
    log,
  });
  const keyOf = http.idempotencyKey ? idempotencyKey : () => null;
  const rowDefaults = { maxRedirects: http.maxRedirects };
  const parts: DispatcherParts = {
    outbox: {
      sweep: (plan) => sweep(db, plan, { ...rowDefaults, assertSame: (outbox) => db.assertSame(outbox) }),
      snapshot: () => currentSnapshot(db),
    },
    reconnect: () => pool.reconnect(),
    http: {
      send: (request, memory) => client.send(request, { idempotencyKey: keyOf(id, request), memory }, kill),
    },
    results: writer,
    answers,
    rate: limit,
    rateOf: (host) => hostRates.of(host),
    control,
    clock,
    log,
    random: Math.random,
  };
  const dispatcher = new Dispatcher(parts, {
    memory: {
      requests: outbox.memoryRequests,
      bytes: outbox.memoryBytes,
      perLane: perLaneBound(rate.perSecond, outbox.memoryRequests),
    },
    concurrency: { total: http.concurrency, perHost: http.hostConcurrency },
    perSecond: rate.perSecond,
    rowDefaults,
    fenceMs: slot.fenceMs,
    outboxTable: OUTBOX_TABLE,
  });
  current = dispatcher;

  const shared = {
    connection: connectionConfig(database.url, LEADER_APPLICATION),
    outbox: { table: OUTBOX_TABLE, oid: installation.outbox },
    lock: { classId: LOCK_CLASS_ID, shard: 0 },
    senderTimeoutMs: slot.senderTimeoutMs,
    fenceMs: slot.fenceMs,
    clock,
    log,
  };
  const decoder = openDecoder(slot.plugin);
  const livenessTimeout = new LivenessTimeout(slot.senderTimeoutMs);
  const sessions: Sessions = {
    stream: (attempt, signal) =>
      streamSession({ ...shared, ...attempt, db, slot, decoder, livenessTimeout }, dispatcher, signal),
    poll: (attempt, signal) => pollSession({ ...shared, ...attempt }, dispatcher, signal),
    lost: () => dispatcher.lost(),
    outage: (now) => {
      outage = now;
    },
  };

  // The session, and with it the lock, outlives the requests in flight, so that no other daemon starts them again.
  const released = new AbortController();
  const drain: Loop = async (signal) => {
    await stopped(AbortSignal.any([stop, signal]));
    await dispatcher.stop(kill);
    await writer.drained(kill);
    released.abort();
  };
  const place: Loop = async (signal) => {
    // Not waited for: without it a copy is not known for one, and nothing else.
    recordPlace(db, installation).catch(() => undefined);
    await stopped(signal);
  };
  await runLoops(released.signal, [
    drain,
    place,
    dispatcher.run,
    control.run,
    reportHeld(answers, { clock, log }),
    reportLanes({ db, dispatcher, clock, log }),
    (signal) => superviseSessions(sessions, { clock, log, signal, handover }),
    expireResults({ db, clock, log, retention: () => retentionOf(results) }),
  ]);
}
