import pg from "pg";
import { inject } from "vitest";
import { dropDatabase } from "./drop-database.ts";
import { openTestPool } from "./pool.ts";

export { testServer } from "./server.ts";

/** A database for one test or one file. Closing it ends its sessions, drops its slots, then the database. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** A superuser's connection string. */
  readonly url: string;
  /** Up to five connections to it. */
  readonly pool: pg.Pool;
  /** Runs one statement in the pool and returns its rows. */
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
}

let count = 0;

/** What a test's database begins as. */
export interface TestDatabaseOptions {
  /** False for one without pgnetd's schema. */
  readonly migrated?: boolean;
  /** The database to copy; sessions in it are ended. */
  readonly template?: string;
}

/** A new database on the run's server: with pgnetd's schema in it unless `options` say otherwise. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { url, prefix } = inject("postgres");
  count += 1;
  const name = `${prefix}${process.pid}_${count}`;
  await withAdmin(url, async (admin) => {
    const template =
      options.template ?? (options.migrated === false ? "template0" : await migratedTemplate(admin, url, prefix));
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [template]);
    await admin.query(`create database ${name} template ${template} ${await copyingFiles(admin)}`);
  });
  const own = databaseUrl(url, name);
  const pool = openTestPool({ connectionString: own, max: 5 });
  return {
    name,
    url: own,
    pool,
    async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
      return (await pool.query<Row>(text, values)).rows;
    },
    async [Symbol.asyncDispose]() {
      // Not waited for: a test that failed may have left a client lent, whose session ends with the database.
      void pool.end();
      await withAdmin(url, (admin) => dropDatabase(admin, name));
    },
  };
}

/** `url` with another database. */
export function databaseUrl(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

/**
 * The option that copies a template's files. Without it they are copied through the WAL, which takes longer and which all streams
 * that are under way must read. PostgreSQL 14 knows no other way, and no option.
 */
async function copyingFiles(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query<{ n: number }>("select current_setting('server_version_num')::int as n");
  return (rows[0]?.n ?? 0) < 150_000 ? "" : "strategy file_copy";
}

/** Made once per run, by whichever worker process comes first. */
async function migratedTemplate(admin: pg.Client, url: string, prefix: string): Promise<string> {
  const name = `${prefix}template`;
  await admin.query("select pg_advisory_lock(hashtext($1))", [name]);
  try {
    const ready = await admin.query("select from pg_catalog.pg_database where datname = $1 and datistemplate", [name]);
    if (ready.rowCount === 0) {
      await admin.query(`drop database if exists ${name} with (force)`);
      await admin.query(`create database ${name} template template0`);
      await migrateTo(databaseUrl(url, name));
      await admin.query(`alter database ${name} is_template true`);
    }
    return name;
  } finally {
    await admin.query("select pg_advisory_unlock(hashtext($1))", [name]);
  }
}

async function migrateTo(url: string): Promise<void> {
  const { migrate } = await import("../../src/pg/migrate.ts");
  await migrate(url);
}

async function withAdmin<T>(url: string, use: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.end();
  }
}
