import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { connectionError } from "./connection.ts";
import { schemaVersion } from "./migrate.ts";
import { LATEST_VERSION } from "./migrations.ts";
import { assertOwn } from "./ownership.ts";
import type { Queryable } from "./pool.ts";
import { assertVisible, rowSecurityProblem } from "./row-security.ts";
import { missingAccess } from "./schema-access.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** The wait between two tries of a database that is not up, or not migrated, yet. */
const RETRY = { firstMs: 100, maxMs: 5_000 };

/** What the waiting needs. */
export interface SchemaWait {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called with what is waited for whenever the database could not be used, and at the end with null. */
  readonly waitingFor?: (problem: PgnetdError | null) => void;
}

/** What is done with a database on the way to using it. */
export interface FirstSteps<T> {
  /** Before the schema is read. */
  readonly prepare?: (() => Promise<void>) | undefined;
  /** With the schema there. */
  readonly read: () => Promise<T>;
}

/**
 * Waits until the first steps succeed and the database has the schema this version knows, so that daemon and database
 * may be started in any order; returns what was read. Throws at once what no waiting mends, such as SCHEMA_NEWER;
 * returns null when `signal` fired first.
 */
export async function awaitSchema<T extends object>(
  db: Queryable,
  steps: FirstSteps<T>,
  { clock, log, signal, waitingFor }: SchemaWait,
): Promise<T | null> {
  let reported = "";
  for (let attempt = 0; !signal.aborted; attempt++) {
    const result = await orProblem(async () => {
      await assertPrimary(db);
      await assertOwn(db, "net", "SCHEMA_FOREIGN");
      await steps.prepare?.();
      await assertSchema(db);
      await assertVisible(db);
      return steps.read();
    });
    if (signal.aborted && result instanceof PgnetdError) return null;
    waitingFor?.(result instanceof PgnetdError ? result : null);
    if (!(result instanceof PgnetdError)) return result;
    if (!result.retry) throw result;
    if (result.message !== reported) log.warn({ code: result.code, hint: result.hint }, result.message);
    reported = result.message;
    await clock.sleep(backoffMs(attempt, RETRY), signal);
  }
  return null;
}

/** Why the database cannot be used as it is; null where it can. */
export async function schemaProblem(db: Queryable): Promise<PgnetdError | null> {
  return orProblem(async () => {
    await assertPrimary(db);
    await assertOwn(db, "net", "SCHEMA_FOREIGN");
    await assertSchema(db);
    return null;
  });
}

/** Why what is in the tables cannot be used by this role: as `schemaProblem`, or row security may hide rows from it. */
export async function tablesProblem(db: Queryable): Promise<PgnetdError | null> {
  return (await schemaProblem(db)) ?? orProblem(() => rowSecurityProblem(db));
}

async function assertPrimary(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ standby: boolean }>({ text: "select pg_catalog.pg_is_in_recovery() as standby" });
  if (rows[0]?.standby !== true) return;
  throw new PgnetdError("PG_UNREACHABLE", "this is a standby server: results cannot be written", {
    hint: "Point DATABASE_URL to the primary.",
  });
}

async function assertSchema(db: Queryable): Promise<void> {
  const version = await readVersion(db);
  if (version > LATEST_VERSION) {
    throw new PgnetdError("SCHEMA_NEWER", `the schema is of version ${version}, this pgnetd knows ${LATEST_VERSION}`);
  }
  if (version < LATEST_VERSION) {
    throw new PgnetdError("SCHEMA_MISSING", `the schema is of version ${version}, this pgnetd needs ${LATEST_VERSION}`);
  }
}

async function readVersion(db: Queryable): Promise<number> {
  let version = 0;
  try {
    version = await schemaVersion(db);
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
  }
  const missing = version === 0 ? await missingAccess(db) : null;
  if (missing !== null) throw missing;
  return version;
}

/** What `act` returns, or in the words of pgnetd why it failed. */
async function orProblem<T>(act: () => Promise<T>): Promise<T | PgnetdError> {
  try {
    return await act();
  } catch (error) {
    return error instanceof PgnetdError ? error : connectionError(error);
  }
}
