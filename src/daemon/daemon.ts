import { systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { type Loop, runLoops, stopped } from "../base/loops.ts";
import type { LoadedConfig } from "../config/load.ts";
import { reportHeld } from "../limits/held-report.ts";
import { type Meters, type Sample, Sampler } from "../metrics/sample.ts";
import type { HealthSource } from "../ops/health.ts";
import { reportLanes } from "../ops/lane-report.ts";
import { SlotWatch } from "../ops/slot-watch.ts";
import { SchemaWatch } from "../outbox/schema-watch.ts";
import { FailureLog } from "../pg/failure-log.ts";
import { recordPlace } from "../pg/installation.ts";
import { openPool, type Queryable } from "../pg/pool.ts";
import { superviseSessions } from "../replication/supervise.ts";
import { expireResults, retentionOf } from "../results/retention.ts";
import { DaemonHealth } from "./health.ts";
import { limitsOf } from "./limits.ts";
import { Readings } from "./readings.ts";
import { openResources, type Refresh } from "./resources.ts";
import { awaitInstallation } from "./schema.ts";
import { sessionsOf } from "./sessions.ts";

/** What a daemon shows of itself. */
export interface DaemonSource extends HealthSource {
  /** For the metrics. */
  readonly sample: () => Promise<Sample>;
  /** For the page. */
  readonly db: Queryable;
}

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
  /** Called when the schema was dropped or recreated: everything starts over, and waits for it. */
  readonly renew: () => void;
  /** Given the daemon's health, at once. */
  readonly watched: (source: DaemonSource) => void;
  /** What is counted of this database, by whichever daemons of this process. */
  readonly meters: Meters;
  /** Where another daemon of this process leads: ends it, and resolves when it has ended. */
  readonly handover?: (() => Promise<void>) | undefined;
}

/** Joins the parts and runs them until `stop` fires and everything in flight is written, or `kill` does. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { loaded, log, stop, kill, restart, renew, watched, meters, handover } = options;
  const clock = systemClock;
  const { database, slot } = loaded.config;
  const { mode } = loaded.config.http;

  const fewer = new FailureLog(log, {
    failed: "the server has no further connection: statements wait for those there are",
    succeeded: "the server has further connections again",
  });
  await using pool = openPool({ ...database, size: database.poolSize, signal: kill, fewer });
  const health = new DaemonHealth(mode);
  const readings = new Readings();
  const sampler = new Sampler({
    meters,
    limits: limitsOf(loaded.config),
    isReady: () => health.health().ready,
    db: pool,
    slotName: slot.name,
    clock,
    log,
  });
  watched({ health: health.health, asked: health.asked, sample: () => sampler.sample(), db: readings });
  if (mode === "capture") log.warn({ mode }, "requests are recorded as answers: nothing is sent");
  const { waitingFor } = health;
  const known = await awaitInstallation(pool, { config: loaded.config, clock, log, signal: stop, waitingFor });
  if (known === null) return;
  const { installation } = known;
  const db = new SchemaWatch({ db: pool, outbox: installation.outbox, log, gone: renew });
  await using resources = await openResources({ loaded, known, pool, db, restart, meters, clock, log, kill });
  const { config, dispatcher, control, writer, answers } = resources;
  const { checked } = db;
  readings.begin(checked);
  health.dispatches(dispatcher, new SlotWatch({ db: checked, slotName: slot.name, clock, log }));
  sampler.dispatches({ ...resources, db: checked, limits: limitsOf(config) });
  const serverTime = (ms: number): void => meters.requests.clock.heard(ms);
  const { outage } = health;
  const sessions = sessionsOf({ config, installation, db, listener: dispatcher, outage, serverTime, clock, log });

  // Its end is that of the session, and of the lock with it: no other daemon starts again what is in flight until then.
  const drain =
    (giveUp: AbortSignal): Loop =>
    async (signal) => {
      await stopped(AbortSignal.any([stop, signal]));
      await dispatcher.stop(giveUp);
      await writer.drained(giveUp);
    };
  const place: Loop = async (signal) => {
    // Not waited for: without it a copy is not known for one, and nothing else.
    recordPlace(db, installation).catch(() => undefined);
    await stopped(signal);
  };
  await runLoops(kill, [
    writer.run,
    // Within the run of the writer, which writes what was in flight when one of these failed.
    (writerEnded) =>
      runLoops(writerEnded, [
        drain(writerEnded),
        place,
        dispatcher.run,
        control.run,
        reportHeld(answers, { clock, log }),
        reportLanes({ db: checked, dispatcher, clock, log }),
        (signal) => superviseSessions(sessions, { clock, log, signal, handover }),
        expireResults({ db: checked, clock, log, retention: () => retentionOf(config.results) }),
      ]),
  ]);
}
