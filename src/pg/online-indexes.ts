import type pg from "pg";

import { withProgress } from "./indexing-progress.ts";
import { migrationLock, type MigrationWait, unlockMigration } from "./migration-lock.ts";
import { SELECT_VERSION } from "./migrations.ts";
import { whileWaiting } from "./online-wait.ts";

/** With more requests in the outbox than this, an index that is made in a transaction would block callers for too long. */
const LARGE_ROWS = 10_000;

/** The making of an index waits for all transactions of before. */
const NO_TIMEOUT = "set statement_timeout = 0; set lock_timeout = 0";
const RESET = "reset statement_timeout; reset lock_timeout";

/** Also where an earlier try left one of the indexes of $1 unfinished, which the migration's `if not exists` would take for made. */
const SELECT_NEEDED = `select pg_catalog.count(*) > ${LARGE_ROWS} or exists (
  select from pg_catalog.pg_index i join unnest($1::text[]) as made (name) on i.indexrelid = pg_catalog.to_regclass(made.name)
  where not i.indisvalid
) as needed
from (select from net.http_request_queue limit ${LARGE_ROWS} + 1) as first_rows`;

const SELECT_VALID = `select indisvalid as valid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass($1)`;

const CREATE_INDEX = /^create index if not exists (?<name>\w+) on net\.http_request_queue[^;]*;/gm;

/** The migration to `version`: its `create index if not exists` finds what was made before. */
export interface IndexingMigration {
  readonly version: number;
  readonly text: string;
}

/**
 * Makes the indexes of a migration before its transaction, where the outbox is large: callers go on meanwhile. What an earlier
 * try left unfinished is recreated. Does nothing where another session has migrated by then: it may have renamed them.
 */
export async function createIndexesOnline(
  client: pg.ClientBase,
  { version, text }: IndexingMigration,
  wait: MigrationWait,
): Promise<void> {
  const statements = [...text.matchAll(CREATE_INDEX)];
  if (statements.length === 0) return;
  const names = statements.map(([, name = ""]) => `net.${name}`);
  if ((await client.query<{ needed: boolean }>(SELECT_NEEDED, [names])).rows[0]?.needed !== true) return;
  await migrationLock(client, wait, "session")();
  try {
    if (((await client.query<{ version: number }>(SELECT_VERSION)).rows[0]?.version ?? 0) >= version) return;
    await client.query(NO_TIMEOUT);
    for (const [statement, name = ""] of statements) await createOnline(client, statement, `net.${name}`, wait);
  } finally {
    await client.query(RESET);
    await unlockMigration(client);
  }
}

async function createOnline(
  client: pg.ClientBase,
  statement: string,
  index: string,
  { url, indexing, signal, waiting }: MigrationWait,
): Promise<void> {
  const { rows } = await client.query<{ valid: boolean }>(SELECT_VALID, [index]);
  if (rows[0]?.valid === true) return;
  const make = async (): Promise<void> => {
    // It waits for old transactions, too.
    if (rows.length > 0) await client.query(`drop index concurrently ${index}`);
    await client.query(statement.replace("create index if not exists", "create index concurrently"));
  };
  if (url === undefined) {
    await make();
    return;
  }
  const pid = (await client.query<{ pid: number }>("select pg_catalog.pg_backend_pid() as pid")).rows[0]?.pid ?? 0;
  const act = (): Promise<void> =>
    indexing === undefined ? make() : withProgress({ url, pid, index, report: indexing }, make);
  await whileWaiting({ url, pid, what: `index ${index}`, signal, waiting }, act);
}
