import pg from "pg";

import type { Clock } from "../base/clock.ts";
import { type ErrorCode, PgnetdError, toError } from "../base/errors.ts";
import { schemaVersion } from "../pg/migrate.ts";
import { LATEST_VERSION } from "../pg/migrations.ts";
import { assertOwn } from "../pg/ownership.ts";
import type { Queryable } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";
import { dropSchemas, type SchemasDropped } from "./schema.ts";
import { dropPublications, dropSlot, readSlotsLeft } from "./slots.ts";
import { withoutDaemons } from "../ops/refuse-daemons.ts";

/** What would go with pgnetd that somebody may miss. */
export interface Losses {
  readonly requests: number;
  readonly deadLetters: number;
  readonly answers: number;
}

/** What an uninstall did. */
export interface Uninstalled extends SchemasDropped {
  /** The slot that was dropped; null where there was none. */
  readonly slot: string | null;
  /** Slots of this database that nobody reads, and that may be of a daemon with other settings. */
  readonly slotsLeft: readonly string[];
  readonly publications: readonly string[];
  /** Null where there was no schema. */
  readonly losses: Losses | null;
}

/** What an uninstall may do. */
export interface UninstallOptions {
  /** Null is the default slot of the database. */
  readonly slotName: string | null;
  /** True drops requests that wait, and dead letters. */
  readonly force: boolean;
  readonly clock: Clock;
}

/** What may be lost, by its table. */
const LOST = {
  requests: "net.http_request_queue",
  deadLetters: "net.http_dead_letter",
  answers: "net._http_response",
} as const satisfies Record<keyof Losses, string>;

/** Of an installation that failed, not all tables need be there. */
const SELECT_TABLES = `
select t.name from pg_catalog.unnest($1::text[]) t (name) where pg_catalog.to_regclass(t.name) is not null`;

const SELECT_INSTALLED = "select pg_catalog.to_regclass('net.pgnetd_migrations') is not null as installed";

/** Their bodies name something of pgnetd; what PostgreSQL knows to depend on it is refused by itself. */
const SELECT_CALLERS = `
select p.oid::regprocedure::text as name from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname not in ('net', 'supabase_functions', 'pg_catalog', 'information_schema')
  and p.prosrc ~ '\\mnet\\.(_?http_|_await_response|form_urlencode|wake|worker_restart|check_worker_is_up|wait_until_running)'
order by 1`;

/** The functions of others whose bodies call pgnetd: without it they fail. */
export async function readCallers(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>({ text: SELECT_CALLERS });
  return rows.map(({ name }) => name);
}

/** Requests, dead letters and answers that would go; null where pgnetd is not installed. Throws SCHEMA_NEWER. */
export async function readLosses(db: Queryable): Promise<Losses | null> {
  await assertOwn(db, "net", "SCHEMA_FOREIGN");
  const version = await schemaVersion(db);
  if (version > LATEST_VERSION) {
    throw new PgnetdError("SCHEMA_NEWER", `the schema is at version ${version}, this pgnetd knows ${LATEST_VERSION}`);
  }
  // With no version at all it is there without the data of a dump, or its first migration failed.
  if ((await db.query<{ installed: boolean }>({ text: SELECT_INSTALLED })).rows[0]?.installed !== true) return null;
  const tables = await tablesThere(db, Object.values(LOST));
  const count = async (table: string): Promise<number> => {
    if (!tables.includes(table)) return 0;
    const { rows } = await db.query<{ n: number }>({ text: `select pg_catalog.count(*)::float8 as n from ${table}` });
    return rows[0]?.n ?? 0;
  };
  return {
    requests: await count(LOST.requests),
    deadLetters: await count(LOST.deadLetters),
    answers: await count(LOST.answers),
  };
}

async function tablesThere(db: Queryable, tables: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>({ text: SELECT_TABLES, values: [tables] });
  return rows.map(({ name }) => name);
}

/**
 * Drops slot, publications and everything of pgnetd in the schemas in one transaction, so that it is all done or
 * nothing. Throws NOT_DONE while a daemon runs, while requests or dead letters are there unless `force`, and where others
 * use something of it.
 */
export async function uninstall(client: Queryable, options: UninstallOptions): Promise<Uninstalled> {
  try {
    return await withoutDaemons(client, async () => {
      const losses = await losesNothing(client, options.force);
      const publications = await dropPublications(client);
      const schemas = losses === null ? { dropped: [], kept: [], placeholder: null } : await dropSchemas(client);
      // Last: a slot once dropped is not brought back by a rollback.
      const slot = await dropSlot(client, { name: options.slotName, waitMs: 0, clock: options.clock });
      const slotsLeft = await readSlotsLeft(client, slot);
      return { ...schemas, slot, slotsLeft, publications, losses };
    });
  } catch (error) {
    throw refusal(error);
  }
}

async function losesNothing(client: Queryable, force: boolean): Promise<Losses | null> {
  if ((await readLosses(client)) === null) return null;
  const tables = await tablesThere(client, [LOST.requests, LOST.deadLetters]);
  if (tables.length > 0) await client.query({ text: `lock table ${tables.join(", ")} in access exclusive mode` });
  const losses = await readLosses(client);
  if (losses === null || force || losses.requests + losses.deadLetters === 0) return losses;
  const what = `${losses.requests} requests wait and there are ${losses.deadLetters} dead letters`;
  throw new PgnetdError("NOT_DONE", `${what}: they would be lost`, {
    hint: "Run pgnetd drain, and replay or delete the dead letters; or add --force to drop them.",
  });
}

function refusal(error: unknown): unknown {
  const nothing = (code: ErrorCode, message: string, hint: string): PgnetdError =>
    new PgnetdError(code, message, { cause: error, hint: `Nothing was dropped. ${hint}` });
  const sqlstate = sqlstateOf(error);
  if (sqlstate === SQLSTATE.dependentObjectsStillExist) {
    const detail = error instanceof pg.DatabaseError ? (error.detail ?? "") : "";
    const what = `others use what would be dropped: ${detail.replaceAll("\n", "; ")}`;
    return nothing("NOT_DONE", what, "Drop or change what the message names first.");
  }
  if (sqlstate === SQLSTATE.lockNotAvailable) {
    const what = "other transactions use the tables of pgnetd";
    return nothing("NOT_DONE", what, "Run the command again when they have ended.");
  }
  if (sqlstate === SQLSTATE.insufficientPrivilege) {
    const who = "the owner of schema net with the right to replicate, or as a superuser";
    return nothing("PG_REFUSED", toError(error).message, `Connect as ${who}.`);
  }
  return error;
}
