import type pg from "pg";
import { migrate } from "../../src/pg/migrate.ts";
import { dropDatabase } from "./drop-database.ts";
import { openTestPool } from "./pool.ts";
import { databaseUrl, testDatabase } from "./postgres.ts";

/** A database that is not in UTF8. */
export interface EncodedDatabase extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  /** One connection. */
  readonly db: pg.Pool;
}

/** A migrated database in `encoding`. */
export async function encodedDatabase(encoding: string): Promise<EncodedDatabase> {
  await using cleanup = new AsyncDisposableStack();
  const admin = cleanup.use(await testDatabase({ migrated: false }));
  const name = `${admin.name}_other`;
  await admin.query(`create database ${name} template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C'`);
  cleanup.defer(async () => {
    const client = await admin.pool.connect();
    await dropDatabase(client, name).finally(() => client.release());
  });
  const url = databaseUrl(admin.url, name);
  await migrate(url);
  const db = openTestPool({ connectionString: url, max: 1 });
  cleanup.defer(() => db.end());
  const all = cleanup.move();
  return { name, url, db, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
