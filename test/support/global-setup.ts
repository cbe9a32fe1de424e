import { randomBytes } from "node:crypto";
import pg from "pg";
import type { TestProject } from "vitest/node";
import { dropDatabase } from "./drop-database.ts";
import { type ServerKind, startRunServer } from "./server.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The PostgreSQL of this run. `prefix` begins the name of every database the run creates. */
    readonly postgres: { readonly kind: ServerKind; readonly url: string; readonly prefix: string };
  }
}

/** Starts one PostgreSQL for the whole run and says which; the returned function removes what the run left on it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startRunServer();
  const prefix = `pgnetd_${randomBytes(4).toString("hex")}_`;
  project.provide("postgres", { kind: server.kind, url: server.url, prefix });
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  const { rows } = await admin.query<{ version: string }>("select current_setting('server_version') as version");
  await admin.end();
  process.stdout.write(`PostgreSQL under test: ${server.kind}, ${rows[0]?.version ?? "?"}\n`);

  return async () => {
    try {
      if (server.kind === "given") await dropAll(server.url, prefix);
    } finally {
      await server[Symbol.asyncDispose]();
    }
  };
}

async function dropAll(url: string, prefix: string): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    const { rows } = await admin.query<{ name: string }>(
      "select datname as name from pg_catalog.pg_database where starts_with(datname, $1)",
      [prefix],
    );
    for (const { name } of rows) await dropDatabase(admin, name);
  } finally {
    await admin.end();
  }
}
