import type pg from "pg";
import { PgnetdError, toError } from "../base/errors.ts";
import { connect } from "./connection.ts";
import { refuseOthers } from "./installation.ts";
import { ENVIRONMENT_VERSION, LATEST_VERSION, MIGRATIONS, readSql } from "./migrations.ts";
import { dropEmptyPublications, restorePublications } from "./own-publications.ts";
import { OWNING_EXTENSION } from "./owning-extension.ts";
import { applyParts, type Parts } from "./parts.ts";
import type { Queryable } from "./pool.ts";
import { showSettings } from "./shown-settings.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** What `migrate` may be told. */
export interface MigrateOptions extends Parts {
  /** The version to stop at; default: the latest. A database beyond it is left as it is. */
  readonly to?: number | undefined;
  /** The environment that the database is to be of. */
  readonly environment?: WantedEnvironment | undefined;
}

/** The environment of a database that is migrated. */
export interface WantedEnvironment {
  /** Null for none: what is recorded stays. */
  readonly name: string | null;
  /** True where a person asks for it: a database that has been used without one is recorded for it, too. */
  readonly claim: boolean;
}

/** The schema version before and after; 0 is a database without pgnetd. */
export interface Migrated {
  readonly from: number;
  readonly to: number;
  /** What was left as it is, or may not be done, in words. */
  readonly notes: readonly string[];
}

/** Held in each transaction of a migration, so that of several at once each waits for the others. `pgnm` in ASCII. */
const LOCK_CLASS_ID = 0x70676e6d;

/** Read committed: after the wait for the lock, the next statement must see what the one before did. */
const BEGIN = `begin isolation level read committed;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;
set local lock_timeout = 0;
set local statement_timeout = 0;
select pg_catalog.pg_advisory_xact_lock(${LOCK_CLASS_ID}, 0)`;

const SELECT_INSTALLED = "select pg_catalog.to_regclass('net.pgnetd_migrations') is not null as installed";

const SELECT_EXTENSION = `select ${OWNING_EXTENSION} as extension`;

const SELECT_VERSION = "select coalesce(pg_catalog.max(version), 0) as version from net.pgnetd_migrations";

const CREATE_SCHEMA = `do $$ begin
  if pg_catalog.to_regnamespace('net') is null then create schema net; end if;
end $$`;

const BOOTSTRAP = `-- API: private
comment on schema net is 'Asynchronous HTTP requests from SQL, sent by the pgnetd daemon.';
create table net.pgnetd_migrations (
  version integer primary key,
  name text not null,
  applied timestamptz not null default pg_catalog.now()
);
comment on table net.pgnetd_migrations is 'The schema versions this database has been through.';
comment on column net.pgnetd_migrations.version is 'The number of the migration.';
comment on column net.pgnetd_migrations.name is 'Its file.';
comment on column net.pgnetd_migrations.applied is 'When it was committed.'`;

const INSERT_VERSION = "insert into net.pgnetd_migrations (version, name) values ($1, $2)";

/** Whoever installs may give a name, and a person always; an installation that has been used may be a copy. */
const RECORD_ENVIRONMENT = `update net.pgnetd_installation set environment = $1, place = null
where environment is null
  and ($2 or not (select is_called from net.http_request_queue_id_seq) and not exists (select from net.http_request_queue))`;

/**
 * Brings the schema to `to`, each file in one transaction of its own. `target` is a connection string or one connection
 * outside of a transaction. Throws SCHEMA_NEWER, MIGRATION_FAILED, or PG_UNREACHABLE and
 * PG_REFUSED where trying again may help; what earlier files did then stays.
 */
export async function migrate(target: string | pg.ClientBase, options: MigrateOptions = {}): Promise<Migrated> {
  if (typeof target !== "string") return migrateOver(target, options);
  const client = await connect(target, "pgnetd migrate");
  try {
    return await migrateOver(client, options);
  } finally {
    await client.end();
  }
}

/** The schema version of a database; 0 where pgnetd is not installed. */
export async function schemaVersion(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ installed: boolean }>({ text: SELECT_INSTALLED });
  if (rows[0]?.installed !== true) return 0;
  return (await db.query<{ version: number }>({ text: SELECT_VERSION })).rows[0]?.version ?? 0;
}

async function migrateOver(client: pg.ClientBase, options: MigrateOptions): Promise<Migrated> {
  const to = options.to ?? LATEST_VERSION;
  const from = await prepare(client);
  if (from > LATEST_VERSION) {
    throw new PgnetdError("SCHEMA_NEWER", `the schema is at version ${from}, this pgnetd knows ${LATEST_VERSION}`);
  }
  const { name: environment = null, claim = false } = options.environment ?? {};
  if (environment !== null) await refuseOthers(client, environment);
  const notes: string[] = [];
  const record = async (): Promise<void> => {
    if (environment === null) return;
    const { rowCount } = await client.query(RECORD_ENVIRONMENT, [environment, claim]);
    if (rowCount === 1) notes.push(`this database is recorded for the environment ${environment}`);
  };
  for (const [index, name] of MIGRATIONS.slice(0, to).entries()) {
    if (index + 1 > from) await apply(client, index + 1, name, record);
  }
  if (from >= ENVIRONMENT_VERSION) await transaction(client, "the environment", record);
  if (to >= 1) await transaction(client, "the publications", () => restorePublications(client));
  if (options.webhooks === true || options.grants !== undefined) {
    notes.push(...(await transaction(client, "optional parts", () => applyParts(client, options))));
  }
  if (to === LATEST_VERSION) {
    notes.push(...(await transaction(client, "the settings of pg_net", () => showSettings(client))));
  }
  return { from, to: Math.max(from, to), notes };
}

/** Makes the table of versions where it is missing, and tells the version. */
async function prepare(client: pg.ClientBase): Promise<number> {
  return transaction(client, "the table of versions", async () => {
    const owner = (await client.query<{ extension: string | null }>(SELECT_EXTENSION)).rows[0]?.extension ?? null;
    if (owner !== null) throw ownedByExtension(owner);
    if ((await client.query<{ installed: boolean }>(SELECT_INSTALLED)).rows[0]?.installed !== true) {
      await dropEmptyPublications(client);
      await client.query(CREATE_SCHEMA);
      await client.query(BOOTSTRAP);
    }
    return (await client.query<{ version: number }>(SELECT_VERSION)).rows[0]?.version ?? 0;
  });
}

function ownedByExtension(extension: string): PgnetdError {
  return new PgnetdError("MIGRATION_FAILED", `schema net belongs to the extension ${extension}`, {
    hint:
      extension === "pg_net"
        ? "See docs/from-pg_net.md. In short: drop extension pg_net, then pgnetd migrate; what waits in its queue goes with it."
        : `pgnetd needs a schema net of its own: drop extension ${extension}, or use another database.`,
  });
}

async function apply(client: pg.ClientBase, version: number, name: string, record: () => Promise<void>): Promise<void> {
  const text = await readSql(name);
  await transaction(client, name, async () => {
    const { rows } = await client.query<{ version: number }>(SELECT_VERSION);
    if ((rows[0]?.version ?? 0) >= version) return;
    await client.query(INSERT_VERSION, [version, name]);
    await client.query(text);
    // In the same transaction, so that no new function is open to every role for a moment.
    await applyParts(client, {});
    // In the same transaction, so that no other daemon takes a new installation for one without an environment.
    if (version >= ENVIRONMENT_VERSION) await record();
  });
}

async function transaction<T>(client: pg.ClientBase, what: string, act: () => Promise<T>): Promise<T> {
  try {
    await client.query(BEGIN);
    const result = await act();
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw failure(what, error);
  }
}

/** Classes of SQLSTATE that pass: a server that ends, is full, or is not the primary yet. A lost connection has none. */
const PASSING: ReadonlySet<string> = new Set(["08", "25", "40", "53", "57"]);

function failure(what: string, error: unknown): PgnetdError {
  if (error instanceof PgnetdError) return error;
  const sqlstate = sqlstateOf(error);
  const message = `${what}: ${toError(error).message}`;
  if (sqlstate === null || PASSING.has(sqlstate.slice(0, 2))) {
    return new PgnetdError("PG_UNREACHABLE", message, { cause: error });
  }
  const hint =
    sqlstate === SQLSTATE.insufficientPrivilege
      ? "Connect as the owner of schema net, or as a role with CREATE on the database, and run pgnetd migrate again."
      : undefined;
  return new PgnetdError("MIGRATION_FAILED", message, { cause: error, hint });
}
