import { isDeepStrictEqual } from "node:util";

import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { answerMemory } from "../config/answer-memory.ts";
import type { LoadedConfig } from "../config/load.ts";
import { withPgNetSettings } from "../config/pg-net.ts";
import { Control } from "../dispatch/control.ts";
import { Dispatcher } from "../dispatch/dispatcher.ts";
import { DispatcherEvents } from "../dispatch/events.ts";
import { idempotencyKey } from "../http/idempotency.ts";
import { openClient } from "../http/mode.ts";
import { Heartbeat } from "../metrics/heartbeat.ts";
import type { Meters } from "../metrics/sample.ts";
import { AnswerBudget } from "../limits/answer-budget.ts";
import { Rates } from "../limits/rates.ts";
import { ratesOf, readHostSettings } from "../outbox/host-settings.ts";
import type { SchemaWatch } from "../outbox/schema-watch.ts";
import { currentSnapshot, sweep } from "../outbox/sweep.ts";
import { readInstallation } from "../pg/installation.ts";
import { readPgNetSettings } from "../pg/pg-net-settings.ts";
import { PG_NET_VERSION } from "../pg/placeholder.ts";
import type { Pool } from "../pg/pool.ts";
import { assertVisible } from "../pg/row-security.ts";
import { type OpenResultWriter, openResultWriter } from "../results/writer.ts";
import { ForeignRequests } from "../sending/foreign-requests.ts";
import { perLaneBound } from "../sending/memory.ts";
import { VERSION } from "../base/version.ts";
import { openTracing } from "../tracing/tracing.ts";
import type { Known } from "./schema.ts";
import { OUTBOX_TABLE } from "./sessions.ts";

/**
 * Reopens the ordinary connections, and reads the outbox and the settings of hosts once more; nothing in flight is ended,
 * and leadership is kept. False where the settings, those in the database included, are others: these need a daemon of their own.
 */
export type Refresh = (now: LoadedConfig) => Promise<boolean>;

/** What the resources are made of. */
export interface ResourcesOptions {
  readonly loaded: LoadedConfig;
  readonly known: Known;
  readonly pool: Pool;
  /** The same connections, which notice that the schema is gone. */
  readonly db: SchemaWatch;
  readonly restart: (refresh: Refresh) => void;
  readonly meters: Meters;
  readonly clock: Clock;
  readonly log: Log;
  readonly kill: AbortSignal;
}

/** What is open while requests are dispatched. */
export interface Resources extends AsyncDisposable {
  readonly dispatcher: Dispatcher;
  readonly control: Control;
  readonly writer: OpenResultWriter;
  readonly answers: AnswerBudget;
  /** Null where it is turned off. */
  readonly heartbeat: Heartbeat | null;
  /** The settings in force: those of pg_net in the database included. */
  readonly config: LoadedConfig["config"];
}

/** Opens the dispatcher and what it uses. What they report to it goes by one `DispatcherEvents`, made before all of them. */
export async function openResources(options: ResourcesOptions): Promise<Resources> {
  const { loaded, known, pool, db, restart, meters, clock, log, kill } = options;
  const config = withPgNetSettings(loaded, known.pgNet);
  const { http, outbox, results, rate } = config;
  await using opened = new AsyncDisposableStack();
  const events = new DispatcherEvents();

  const onPermit = (host: string | null): void => events.emit({ kind: "permit", host });
  const rates = opened.use(new Rates({ perSecond: rate.perSecond, onPermit, clock }));
  const answers = new AnswerBudget({
    bounds: {
      bytes: answerMemory({ http, results }),
      largest: http.maxResponseBytes,
      inFlight: http.concurrency,
      requests: outbox.memoryRequests,
    },
    clock,
    onRoom: () => events.emit({ kind: "answers-have-room" }),
  });
  const client = opened.use(
    openClient(http.mode, {
      ...http,
      userAgent: `pg_net/${PG_NET_VERSION} (pgnetd)`,
      // What one host may have is for the dispatcher to say: a host may be given more than the default.
      connectionsPerOrigin: http.concurrency,
    }),
  );
  const tracing = opened.use(await openTracing(process.env, VERSION, log));
  const writer = opened.use(
    openResultWriter({
      db,
      listener: {
        settled: (completions) => events.emit({ kind: "settled", completions }),
        gone: (count) => {
          meters.requests.cancelled(count);
          events.emit({ kind: "gone" });
        },
        writable: (why) => events.emit({ kind: "writable", why }),
      },
      log,
      clock,
      signal: kill,
    }),
  );

  const refresh: Refresh = async (now) => {
    if (!isDeepStrictEqual(now, loaded)) return false;
    pool.renew();
    if (!isDeepStrictEqual(withPgNetSettings(now, await readPgNetSettings(pool)), config)) return false;
    control.refresh();
    events.emit({ kind: "read-outbox", when: "now" });
    return true;
  };
  const heartbeat = config.metrics.heartbeat ? new Heartbeat({ db, meter: meters.heartbeats, clock, log }) : null;
  let { id } = known.installation;
  const rows = { maxRedirects: http.maxRedirects, installationMarks: known.installation.marks };
  const control = new Control({
    // P3: at each start of leadership, since the database may have been restored or adopted meanwhile; and where requests are
    // of another installation.
    identify: async () => {
      await db.assertThere();
      await assertVisible(pool);
      ({ id, marks: rows.installationMarks } = await readInstallation(pool, config.database.environment));
    },
    readHosts: () => readHostSettings(db.checked),
    configureHosts: (settings, isLatest) => {
      rates.hosts.configure(ratesOf(settings));
      events.emit({ kind: "hosts-configured", settings, isLatest });
    },
    assumeSpent: () => rates.assumeSpent(),
    restart: () => restart(refresh),
    heartbeat,
    readOutbox: (when) => events.emit({ kind: "read-outbox", when }),
    clock,
    log,
  });

  const keyOf = http.idempotencyKey ? idempotencyKey : () => null;
  const dispatcher = new Dispatcher(
    {
      events,
      outbox: {
        sweep: (plan) => sweep(db.checked, plan, { ...rows, assertSame: (oid) => db.assertSame(oid) }),
        snapshot: () => currentSnapshot(db),
      },
      reconnect: () => pool.reconnect(),
      http: {
        send: (request, memory) => {
          const span = tracing?.begin(request);
          const extras = { idempotencyKey: keyOf(id, request), traceparent: span?.traceparent, memory };
          const ended = client.send(request, extras, kill);
          if (span !== undefined) void ended.then((outcome) => span.end(outcome));
          return ended;
        },
        expire: (request) => client.expire(request),
      },
      results: new ForeignRequests({ results: writer, identify: () => control.refresh(), clock, log }),
      answers,
      rate: rates.all,
      rateOf: (host) => rates.hosts.of(host),
      control,
      clock,
      log,
      random: Math.random,
      observer: meters.requests,
    },
    {
      memory: {
        requests: outbox.memoryRequests,
        bytes: outbox.memoryBytes,
        perLane: perLaneBound(rate.perSecond, outbox.memoryRequests),
      },
      concurrency: { total: http.concurrency, perHost: http.hostConcurrency },
      perSecond: rate.perSecond,
      rows,
      fenceMs: config.slot.fenceMs,
      outboxTable: OUTBOX_TABLE,
    },
  );

  const all = opened.move();
  return { dispatcher, control, writer, answers, heartbeat, config, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
