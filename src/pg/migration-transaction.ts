import pg from "pg";

import { PgnetdError, toError } from "../base/errors.ts";
import { migrationLock, type MigrationWait } from "./migration-lock.ts";
import { isLockTimeout, LOCK_TIMEOUT_MS, retryOnLockTimeout } from "./migration-retry.ts";
import { createIndexesOnline } from "./online-indexes.ts";
import { READ_ONLY_HINT } from "./connection.ts";
import { SELECT_VERSION } from "./migrations.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/** Read committed: after the wait for the lock, the next statement must see what the one before did. */
const BEGIN = `begin isolation level read committed;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;
set local statement_timeout = 0;
set local lock_timeout = ${LOCK_TIMEOUT_MS};
set local idle_in_transaction_session_timeout = 0`;

/** How the steps of a migration run; `what` names one where it fails. */
export interface Steps {
  run<T>(what: string, act: () => Promise<T>): Promise<T>;
  /** Makes what the migration to `version`, with this text, need not make in its transaction. */
  prepare(what: string, version: number, text: string): Promise<void>;
}

/** A step of this name is a migration. */
const IS_MIGRATION = /^\d{4}_/;
const IS_FIRST = /^0001_/;

/** Each step in a transaction of its own, which is repeated as long as others hold a lock that it needs. */
export function inTransactions(client: pg.ClientBase, wait: MigrationWait = {}): Steps {
  const takeLock = migrationLock(client, wait, "transaction");
  const retry = retryOnLockTimeout(client, wait);
  let hasMigrated = false;
  const stateAt = async (what: string): Promise<string | undefined> => {
    if (hasMigrated) return stateOf(client);
    return IS_FIRST.test(what) ? "There is schema net, with its table of versions alone." : undefined;
  };
  return {
    run: (what, act) =>
      retry(async () => {
        try {
          await client.query(BEGIN);
          await takeLock();
          const result = await act();
          await client.query("commit");
          hasMigrated ||= IS_MIGRATION.test(what);
          return result;
        } catch (error) {
          await client.query("rollback").catch(() => undefined);
          throw failure(what, error, await stateAt(what));
        }
      }),
    prepare: async (what, version, text) => {
      try {
        await createIndexesOnline(client, { version, text }, wait);
      } catch (error) {
        throw failure(what, error, await stateAt(what));
      }
    },
  };
}

/** Each step in the transaction that is open already. */
export const inOpenTransaction: Steps = {
  run: async (what, act) => {
    try {
      return await act();
    } catch (error) {
      throw failure(what, error);
    }
  },
  prepare: async () => undefined,
};

/** Classes of SQLSTATE that pass: a server that ends, is full, or is not the primary yet. A lost connection has none. */
const PASSING: ReadonlySet<string> = new Set(["08", "25", "40", "53", "57"]);

/** In words, what the migrations that were committed have made of the schema. */
async function stateOf(client: pg.ClientBase): Promise<string> {
  const version = await client.query<{ version: number }>(SELECT_VERSION).then(
    ({ rows }) => rows[0]?.version,
    () => undefined,
  );
  return version === undefined
    ? "What was committed before stays."
    : `The schema is at version ${version} now: an older pgnetd does not start on it.`;
}

/**
 * What is thrown for `error`: a lock timeout stays as it is, since the transaction is repeated. `state` is what was changed before, undefined
 * for nothing.
 */
function failure(what: string, error: unknown, state = "Nothing was changed."): unknown {
  if (error instanceof PgnetdError || isLockTimeout(error)) return error;
  const sqlstate = sqlstateOf(error);
  const depends = sqlstate === SQLSTATE.dependentObjectsStillExist && error instanceof pg.DatabaseError;
  const message = `${what}: ${toError(error).message}${depends ? `: ${error.detail ?? ""}` : ""}`;
  if (sqlstate === null || PASSING.has(sqlstate.slice(0, 2))) {
    const hint = sqlstate === SQLSTATE.readOnlyTransaction ? READ_ONLY_HINT : undefined;
    return new PgnetdError("PG_UNREACHABLE", message, { cause: error, hint });
  }
  const mend =
    sqlstate === SQLSTATE.insufficientPrivilege
      ? "Connect as the owner of schema net, or as a role with CREATE on the database, and run pgnetd migrate again."
      : "Mend the cause in the message and run pgnetd migrate again.";
  return new PgnetdError("MIGRATION_FAILED", message, { cause: error, hint: `${state} ${mend}` });
}
