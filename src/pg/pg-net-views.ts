import type pg from "pg";

import { toError } from "../base/errors.ts";
import type { MigrationWait } from "./migration-lock.ts";
import { whileWaiting } from "./online-wait.ts";
import { isFilling, type MovedObject } from "./pg-net-move.ts";

const BEGIN = `begin;
set local search_path = pg_catalog, pg_temp;
set local statement_timeout = 0;
set local lock_timeout = '30s';
set local idle_in_transaction_session_timeout = 0`;

/** How materialized views are filled. */
export interface FillOptions extends Pick<MigrationWait, "signal" | "waiting"> {
  /** For a session that watches, and cancels. */
  readonly url: string;
}

/**
 * Fills the materialized views among `objects` of a move that is committed, each in a transaction of its own: they call what their owners
 * like, for as long as that takes. Yields, in words, which one is being filled, and which one stays empty, since that failed or the signal
 * fired, with the statement that fills it.
 */
export async function* fillViews(
  client: pg.ClientBase,
  objects: readonly MovedObject[],
  options: FillOptions,
): AsyncGenerator<string, void, void> {
  for (const one of objects.filter(isFilling)) {
    const isStopped = options.signal?.aborted === true;
    if (!isStopped) yield `materialized view ${one.object} is being filled`;
    const failure = isStopped ? "stopped" : await fill(client, one, options);
    if (failure !== null) yield `materialized view ${one.object} is empty until you run: ${one.create}; (${failure})`;
  }
}

/** Null, or why it failed. */
async function fill(
  client: pg.ClientBase,
  { object, create }: MovedObject,
  options: FillOptions,
): Promise<string | null> {
  try {
    await client.query(BEGIN);
    const { rows } = await client.query<{ pid: number }>("select pg_catalog.pg_backend_pid() as pid");
    const wait = { ...options, pid: rows[0]?.pid ?? 0, what: `materialized view ${object}` };
    await whileWaiting(wait, () => client.query(create ?? ""));
    await client.query("commit");
    return null;
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    return options.signal?.aborted === true ? "stopped" : toError(error).message;
  }
}
