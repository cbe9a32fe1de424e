import { randomUUID } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import type { TestDatabase } from "./postgres.ts";

/** A role without superuser that may install the schema and run the daemon. Closing it drops it: after its database. */
export interface DaemonRole extends AsyncDisposable {
  readonly name: string;
  /** Makes the role the owner of schema `net` in a database not migrated yet, and resolves to its URL for that database. */
  own(db: TestDatabase): Promise<string>;
  /** Its URL for a database, without any right there. */
  login(databaseUrl: string): string;
}

/** Creates the role that docs/operations.md describes. */
export async function daemonRole(): Promise<DaemonRole> {
  const { url, prefix } = inject("postgres");
  const name = `${prefix}role_${randomUUID().slice(0, 8)}`;
  const password = randomUUID();
  await statement(url, `create role ${pg.escapeIdentifier(name)} login replication password '${password}'`);
  const login = (databaseUrl: string): string => {
    const own = new URL(databaseUrl);
    own.username = name;
    own.password = password;
    return own.href;
  };
  return {
    name,
    login,
    async own(db) {
      await db.query(`grant create on database ${db.name} to ${pg.escapeIdentifier(name)}`);
      const own = login(db.url);
      await migrate(own);
      return own;
    },
    async [Symbol.asyncDispose]() {
      await statement(url, `drop role ${pg.escapeIdentifier(name)}`);
    },
  };
}

async function statement(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
