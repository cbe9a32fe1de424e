import type pg from "pg";

import { backoffMs } from "../base/backoff.ts";
import { NEVER, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import { connect } from "./connection.ts";
import { endHint, holderText, JOIN_PREPARED, type LockOwner } from "./lock-owner.ts";
import { type MigrationWait, REPORT_AFTER_MS } from "./migration-lock.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/**
 * P9: a statement of a migration waits no longer for a lock: all who use the table wait behind it meanwhile. Less than the
 * default of `deadlock_timeout`.
 */
export const LOCK_TIMEOUT_MS = 800;

/** Between two tries others use the table, for longer than they wait during one. */
const PAUSE = { firstMs: 1_000, maxMs: 5_000 };

const OBSERVE_EVERY_MS = 100;

/** Of several, one that waits for no other, the oldest. A prepared transaction is process 0, so it is found by the relation. */
const SELECT_BLOCKER = `
select l.pid, p.gid, coalesce(a.usename, p.owner)::text as user, a.application_name as application,
  coalesce(a.xact_start, r.prepared)::text as since
from pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) b (pid)
left join pg_catalog.pg_stat_activity a on a.pid = b.pid
left join lateral (
  select nullif(b.pid, 0) as pid, (
    select h.virtualtransaction from pg_catalog.pg_locks w join pg_catalog.pg_locks h
      on h.locktype = w.locktype and h.database = w.database and h.relation = w.relation
    where b.pid = 0 and w.pid = $1 and not w.granted and h.granted and h.pid is null
    limit 1
  ) as virtualtransaction
) l on true
${JOIN_PREPARED}
left join pg_catalog.pg_prepared_xacts r on r.gid = p.gid
order by exists (select from pg_catalog.pg_locks q where q.pid = b.pid and not q.granted), coalesce(a.xact_start, r.prepared)
limit 1`;

/** Who is in the way of a session. */
export interface Blocker extends LockOwner {
  /** When its transaction began; null where this role may not see it. */
  readonly since: string | null;
}

/** Who is in the way of the session with this process; null where nobody is. */
export async function readBlocker(session: pg.ClientBase, pid: number): Promise<Blocker | null> {
  return (await session.query<Blocker & pg.QueryResultRow>(SELECT_BLOCKER, [pid])).rows[0] ?? null;
}

/** True for the error of a statement that waited for a lock for too long. */
export function isLockTimeout(error: unknown): boolean {
  return sqlstateOf(error) === SQLSTATE.lockNotAvailable;
}

/**
 * Returns a function that repeats a transaction of `client` until no statement of it waits too long for a lock. It reports once
 * which session is in the way, and throws NOT_DONE where the signal fired.
 */
export function retryOnLockTimeout(
  client: pg.ClientBase,
  { url, signal = NEVER, waiting }: MigrationWait,
): <T>(transaction: () => Promise<T>) => Promise<T> {
  let isReported = waiting === undefined;
  return async (transaction) => {
    const begunAt = systemClock.now();
    await using observer = new Observer(client, url);
    for (let retry = 0; ; retry += 1) {
      try {
        return retry === 0 ? await transaction() : await observer.during(transaction);
      } catch (error) {
        if (!isLockTimeout(error)) throw error;
      }
      if (!isReported && systemClock.now() - begunAt >= REPORT_AFTER_MS) {
        waiting?.(problemOf(observer.blocker));
        isReported = true;
      }
      await systemClock.sleep(backoffMs(retry, PAUSE) * (0.75 + Math.random() / 2), signal);
      if (signal.aborted) {
        throw new PgnetdError("NOT_DONE", `stopped while ${nameOf(observer.blocker)} was in the way of the migration`, {
          hint: "Run the command again.",
        });
      }
    }
  };
}

/** A second session that sees for whom the first one waits. */
class Observer implements AsyncDisposable {
  readonly #client: pg.ClientBase;
  readonly #url: string | undefined;
  #session: Promise<pg.Client> | null = null;
  /** The one seen last. */
  blocker: Blocker | null = null;

  constructor(client: pg.ClientBase, url: string | undefined) {
    this.#client = client;
    this.#url = url;
  }

  async during<T>(transaction: () => Promise<T>): Promise<T> {
    if (this.#url === undefined) return transaction();
    const ended = new AbortController();
    let observed: Promise<void> | undefined;
    try {
      const { rows } = await this.#client.query<{ pid: number }>("select pg_catalog.pg_backend_pid() as pid");
      this.#session ??= connect(this.#url, "migrate");
      observed = this.#observe(await this.#session, rows[0]?.pid ?? 0, ended.signal);
    } catch {
      // Without a free connection the migration goes on, and nobody is named.
      this.#session = null;
    }
    try {
      return await transaction();
    } finally {
      ended.abort();
      await observed;
    }
  }

  /** Does not reject: the next try has another session. */
  async #observe(session: pg.Client, pid: number, signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        this.blocker = (await readBlocker(session, pid)) ?? this.blocker;
        await systemClock.sleep(OBSERVE_EVERY_MS, signal);
      }
    } catch {
      this.#session = null;
      await session.end().catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#session)?.end();
  }
}

function nameOf(blocker: Blocker | null): string {
  return blocker === null ? "another session" : holderText(blocker);
}

/** What an operator should know of whoever keeps a migration waiting. */
export function problemOf(blocker: Blocker | null): PgnetdError {
  const since = blocker?.since ?? null;
  const message = `${nameOf(blocker)} ${since === null ? "" : `has been in a transaction since ${since} and `}holds a lock that the migration needs`;
  const end = blocker === null ? "pg_locks shows who it is." : endHint(blocker);
  return new PgnetdError("PG_UNREACHABLE", message, {
    hint: `Requests are accepted meanwhile, and the migration goes on when that transaction ends. ${end}`,
  });
}
