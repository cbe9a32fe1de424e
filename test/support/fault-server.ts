import type pg from "pg";
import type { LocalPostgres } from "../../demo/embedded-postgres.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { testServer } from "./server.ts";
import { openTestPool } from "./pool.ts";

/** A PostgreSQL that a test may stop, crash and configure, with pgnetd's schema in its database `postgres`. */
export interface FaultServer extends AsyncDisposable {
  readonly server: LocalPostgres;
  readonly url: string;
  /** Runs one statement as superuser, on a connection that may be a new one. */
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
}

/** Starts a server for one test; see `testServer` for `settings`. */
export async function startFaultServer(settings: Readonly<Record<string, string>> = {}): Promise<FaultServer> {
  const server = await testServer(settings);
  const url = server.url();
  await migrate(url);
  return wrapServer(server);
}

/** `server`, migrated already, as a fault server. */
export function wrapServer(server: LocalPostgres): FaultServer {
  const url = server.url();
  const pool = openTestPool({ connectionString: url, max: 4, application_name: "test" });
  return {
    server,
    url,
    async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
      return (await pool.query<Row>(text, values)).rows;
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
      await server[Symbol.asyncDispose]();
    },
  };
}
