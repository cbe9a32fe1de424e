import { PgnetdError } from "../base/errors.ts";
import { INSERT_VERSION, LATEST_VERSION, MIGRATIONS } from "./migrations.ts";
import { MARK_REQUESTS } from "./installation.ts";
import type { Queryable } from "./pool.ts";
import { compareObjects, foundObjects, wantedObjects } from "./schema-objects.ts";

/** The version of a schema, and what was done to know it, in words. */
export interface Restored {
  readonly version: number;
  readonly notes: readonly string[];
}

const SELECT_IS_THERE = "select pg_catalog.to_regclass('net.http_request_queue') is not null as there";

/** With a row where there was none. */
const INSERT_INSTALLATION = `insert into net.pgnetd_installation default values on conflict do nothing
returning exists (select from net.http_request_queue) as waits`;

/**
 * Where the schema is there and its table of versions is empty, a dump was restored without its data: the rows that every
 * installation has are written, if the objects are those of the latest version. Any other version cannot be known: throws
 * MIGRATION_FAILED.
 */
export async function recordRestored(db: Queryable): Promise<Restored> {
  if ((await db.query<{ there: boolean }>({ text: SELECT_IS_THERE })).rows[0]?.there !== true) {
    return { version: 0, notes: [] };
  }
  const { missing, altered } = compareObjects(await wantedObjects(), await foundObjects(db));
  const [different] = [...missing, ...altered];
  if (different !== undefined) {
    throw new PgnetdError(
      "MIGRATION_FAILED",
      `schema net is there, and net.pgnetd_migrations does not say of which version: ${different} is not as in version ${LATEST_VERSION}`,
      {
        hint: "A dump was restored without its data. Restore the rows of net.pgnetd_migrations as well, or, where nothing in it is needed, drop schema net cascade; then run pgnetd migrate again.",
      },
    );
  }
  for (const [index, name] of MIGRATIONS.entries()) await db.query({ text: INSERT_VERSION, values: [index + 1, name] });
  const { rows } = await db.query<{ waits: boolean }>({ text: INSERT_INSTALLATION });
  if (rows[0]?.waits === true) {
    throw new PgnetdError(
      "MIGRATION_FAILED",
      "requests wait, and net.pgnetd_installation does not say of which database they are",
      {
        hint: "A dump was restored without it. Restore its row as well, so that pgnetd knows a copy, or delete the requests: delete from net.http_request_queue; then run pgnetd migrate again.",
      },
    );
  }
  if (rows.length > 0) for (const text of MARK_REQUESTS) await db.query({ text });
  const note =
    "the schema was restored without its data: version and installation are recorded again; parts (--webhooks, --grants) that are to be kept by upgrades have to be asked for again, of an installation with restricted rights --grants restricted before any other";
  return { version: LATEST_VERSION, notes: [note] };
}
