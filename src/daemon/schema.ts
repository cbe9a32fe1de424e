import type { Clock } from "../base/clock.ts";
import type { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { LoadedConfig } from "../config/load.ts";
import { awaitSchema } from "../pg/await-schema.ts";
import { type Installation, readInstallation, refuseOthers } from "../pg/installation.ts";
import { migrate } from "../pg/migrate.ts";
import { type PgNetSettings, readPgNetSettings } from "../pg/pg-net-settings.ts";
import type { Queryable } from "../pg/pool.ts";

/** What the wait for the schema needs. */
export interface SchemaOptions {
  readonly config: LoadedConfig["config"];
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** What is waited for; null at the end. */
  readonly waitingFor: (problem: PgnetdError | null) => void;
}

/** What a database with the schema says of itself. */
export interface Known {
  readonly installation: Installation;
  readonly pgNet: PgNetSettings;
}

/** Migrates where that is asked for, and waits for the schema; null when `signal` fired first. */
export async function awaitInstallation(db: Queryable, options: SchemaOptions): Promise<Known | null> {
  const { config, log, signal, waitingFor } = options;
  const { database, migrate: migration } = config;
  const { environment } = database;
  const prepare = async (): Promise<void> => {
    await refuseOthers(db, environment);
    if (!migration.atStart) return;
    const { from, to } = await migrate(database.url, {
      environment: { name: environment, claim: false },
      signal,
      waiting: (problem) => {
        log.warn({ code: problem.code, hint: problem.hint }, problem.message);
        waitingFor(problem);
      },
    });
    if (from !== to) log.info({ from, to }, "the schema is migrated");
  };
  const read = async (): Promise<Known> => ({
    installation: await readInstallation(db, environment),
    pgNet: await readPgNetSettings(db),
  });
  return awaitSchema(db, { prepare, read }, options);
}
