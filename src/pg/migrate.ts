import type pg from "pg";
import { PgnetdError } from "../base/errors.ts";
import { connect } from "./connection.ts";
import { keepAttributes } from "./function-attributes.ts";
import { refuseOthers } from "./installation.ts";
import type { MigrationWait } from "./migration-lock.ts";
import { inTransactions, type Steps } from "./migration-transaction.ts";
import {
  ENVIRONMENT_VERSION,
  INSERT_VERSION,
  LATEST_VERSION,
  MIGRATIONS,
  NO_FOREIGN_KEYS_VERSION,
  readSql,
  SELECT_VERSION,
} from "./migrations.ts";
import { otherRoles } from "./other-roles.ts";
import { dropEmptyPublications, restorePublications } from "./own-publications.ts";
import { makeOwn } from "./ownership.ts";
import { OWNING_EXTENSION } from "./owning-extension.ts";
import { applyParts, type Parts } from "./parts.ts";
import type { Queryable } from "./pool.ts";
import { type Restored, recordRestored } from "./restored-schema.ts";
import { showSettings } from "./shown-settings.ts";

/** Options of `migrate`. */
export interface MigrateOptions extends Parts, MigrationWait {
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

const SELECT_INSTALLED = "select pg_catalog.to_regclass('net.pgnetd_migrations') is not null as installed";

const SELECT_EXTENSION = `select ${OWNING_EXTENSION} as extension`;

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

/** Whoever installs may give a name, and a person always; an installation that has been used may be a copy. */
const RECORD_ENVIRONMENT = `update net.pgnetd_installation set environment = $1, place = null
where environment is null
  and ($2 or not (select is_called from net.http_request_queue_id_seq) and not exists (select from net.http_request_queue))`;

/** So that no role can make a foreign key to them, whose checks run its code as the owner, before the migration that rules it out. */
const REVOKE_REFERENCES = "revoke references on net.pgnetd_installation, net.pgnetd_parts from public";

/**
 * Brings the schema to `to`, each file in one transaction of its own. `target` is a connection string or one connection
 * outside of a transaction. Throws SCHEMA_NEWER, MIGRATION_FAILED, or PG_UNREACHABLE and
 * PG_REFUSED where trying again may help; what earlier files did then stays.
 */
export async function migrate(target: string | pg.ClientBase, options: MigrateOptions = {}): Promise<Migrated> {
  if (typeof target !== "string") return migrateAll(target, options, inTransactions(target, options));
  const client = await connect(target, "migrate");
  try {
    return await migrateAll(client, options, inTransactions(client, { url: target, ...options }));
  } finally {
    await client.end();
  }
}

async function migrateAll(client: pg.ClientBase, options: MigrateOptions, steps: Steps): Promise<Migrated> {
  const migrated = await migrateIn(client, options, steps);
  const others = await steps.run("rights of others", () => otherRoles(client, options));
  return { ...migrated, notes: [...migrated.notes, ...others] };
}

/** The schema version of a database; 0 where pgnetd is not installed. */
export async function schemaVersion(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ installed: boolean }>({ text: SELECT_INSTALLED });
  if (rows[0]?.installed !== true) return 0;
  return (await db.query<{ version: number }>({ text: SELECT_VERSION })).rows[0]?.version ?? 0;
}

/** As `migrate`, with each step as `steps` runs it, and without a word about rights of others. */
export async function migrateIn(client: pg.ClientBase, options: MigrateOptions, steps: Steps): Promise<Migrated> {
  const to = options.to ?? LATEST_VERSION;
  const { version: from, notes: restored } = await prepare(client, steps);
  if (from > LATEST_VERSION) {
    throw new PgnetdError("SCHEMA_NEWER", `the schema is at version ${from}, this pgnetd knows ${LATEST_VERSION}`);
  }
  const { name: environment = null, claim = false } = options.environment ?? {};
  if (environment !== null && from > 0) await refuseOthers(client, environment);
  const notes = [...restored];
  const record = async (): Promise<void> => {
    if (environment === null) return;
    const { rowCount } = await client.query(RECORD_ENVIRONMENT, [environment, claim]);
    if (rowCount === 1) notes.push(`this database is recorded for the environment ${environment}`);
  };
  for (const [index, name] of MIGRATIONS.slice(0, to).entries()) {
    if (index + 1 <= from) continue;
    await steps.prepare(name, index + 1, await readSql(name));
    await steps.run(name, () => apply(client, index + 1, name, record));
  }
  if (from >= ENVIRONMENT_VERSION) await steps.run("the environment", record);
  if (to >= 1) await steps.run("the publications", () => restorePublications(client));
  if (options.webhooks === true || options.grants !== undefined) {
    notes.push(...(await steps.run("optional parts", () => applyParts(client, options))));
  }
  if (to === LATEST_VERSION) {
    notes.push(...(await steps.run("the settings of pg_net", () => showSettings(client))));
  }
  return { from, to: Math.max(from, to), notes };
}

/** Creates the table of versions where it is missing, and its rows where a dump left them out. */
async function prepare(client: pg.ClientBase, steps: Steps): Promise<Restored> {
  return steps.run("the table of versions", async () => {
    const owner = (await client.query<{ extension: string | null }>(SELECT_EXTENSION)).rows[0]?.extension ?? null;
    if (owner !== null) throw ownedByExtension(owner);
    await makeOwn(client, "net", "MIGRATION_FAILED");
    if ((await client.query<{ installed: boolean }>(SELECT_INSTALLED)).rows[0]?.installed !== true) {
      await dropEmptyPublications(client);
      await client.query(BOOTSTRAP);
      return { version: 0, notes: [] };
    }
    const version = (await client.query<{ version: number }>(SELECT_VERSION)).rows[0]?.version ?? 0;
    return version === 0 ? recordRestored(client) : { version, notes: [] };
  });
}

/** Why a schema `net` that an extension owns is not migrated, and what to do. */
export function ownedByExtension(extension: string): PgnetdError {
  return new PgnetdError("MIGRATION_FAILED", `schema net belongs to the extension ${extension}`, {
    hint:
      extension === "pg_net"
        ? "pgnetd migrate --from-pg-net moves over, with what waits and what others made; add --dry-run to see it first."
        : `pgnetd needs a schema net of its own: drop extension ${extension}, or use another database.`,
  });
}

async function apply(client: pg.ClientBase, version: number, name: string, record: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ version: number }>(SELECT_VERSION);
  if ((rows[0]?.version ?? 0) >= version) return;
  await client.query(INSERT_VERSION, [version, name]);
  const sql = await readSql(name);
  await keepAttributes(client, () => client.query(sql));
  // In the same transaction, so that no new function is open to every role for a moment.
  await applyParts(client, {});
  if (version < NO_FOREIGN_KEYS_VERSION) await client.query(REVOKE_REFERENCES);
  // In the same transaction, so that no other daemon mistakes a new installation for one without an environment.
  if (version >= ENVIRONMENT_VERSION) await record();
}
