import type pg from "pg";

import { NEVER, systemClock } from "../base/clock.ts";
import { PgnetdError } from "../base/errors.ts";
import type { IndexProgress } from "./indexing-progress.ts";
import { endHint, holderText, JOIN_PREPARED, type LockOwner } from "./lock-owner.ts";

/** `pgnm` in ASCII. */
const LOCK_CLASS_ID = 0x70676e6d;

const AGAIN_MS = 50;

/** A wait that is longer is reported, in milliseconds; another migration takes less. */
export const REPORT_AFTER_MS = 3_000;

const LOCK_WAIT_MS = 60_000;

/** How a migration waits for others. */
export interface MigrationWait {
  /** How long to wait for whoever has the lock for migrations, in milliseconds; 60,000 unless set. */
  readonly lockWaitMs?: number | undefined;
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** For a second session, which sees who holds a lock on a table; without it nobody is named. */
  readonly url?: string | undefined;
  /** Called where it takes seconds, once for the lock for migrations and once for locks on tables: who holds it, and what to do. */
  readonly waiting?: ((problem: PgnetdError) => void) | undefined;
  /** Called about twice a second while the index of a large queue is made; needs `url`. */
  readonly indexing?: ((progress: IndexProgress) => void) | undefined;
}

/** How long the lock is held: to the end of the transaction, or until `unlockMigration`. */
type Holding = "transaction" | "session";

const TRY: Record<Holding, string> = {
  transaction: `select pg_catalog.pg_try_advisory_xact_lock(${LOCK_CLASS_ID}, 0) as held`,
  session: `select pg_catalog.pg_try_advisory_lock(${LOCK_CLASS_ID}, 0) as held`,
};

/** Gives up a lock that is held by the session. */
export async function unlockMigration(client: pg.ClientBase): Promise<void> {
  await client.query(`select pg_catalog.pg_advisory_unlock(${LOCK_CLASS_ID}, 0)`);
}

const SELECT_OWNER = `
select l.pid, p.gid, coalesce(a.usename, p.owner)::text as user, a.application_name as application,
  case when n.oid is null
    then pg_catalog.has_database_privilege(a.usesysid, l.database, 'create')
    else pg_catalog.pg_has_role(a.usesysid, n.nspowner, 'usage')
  end as "mayMigrate"
from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
left join pg_catalog.pg_namespace n on n.nspname = 'net'
${JOIN_PREPARED}
where l.granted and l.locktype = 'advisory' and l.objsubid = 2 and l.classid = ${LOCK_CLASS_ID} and l.objid = 0
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
limit 1`;

/** Who has the lock, and whether its role may migrate at all; null where it is none that is known. */
interface Owner extends LockOwner {
  readonly mayMigrate: boolean | null;
}

/**
 * Returns a function that takes the lock for `client`. Any role can take it, so the waiting ends. The function throws
 * NOT_DONE where the signal fired, and PG_UNREACHABLE where the time is over.
 */
export function migrationLock(client: pg.ClientBase, wait: MigrationWait, holding: Holding): () => Promise<void> {
  const { lockWaitMs = LOCK_WAIT_MS, signal = NEVER, waiting } = wait;
  let isReported = waiting === undefined;
  return async () => {
    const begunAt = systemClock.now();
    while ((await client.query<{ held: boolean }>(TRY[holding])).rows[0]?.held !== true) {
      if (signal.aborted) {
        throw new PgnetdError("NOT_DONE", "stopped while another session held the lock for migrations", {
          hint: "Run the command again.",
        });
      }
      const waitedMs = systemClock.now() - begunAt;
      if (waitedMs >= lockWaitMs || (!isReported && waitedMs >= REPORT_AFTER_MS)) {
        const problem = problemOf((await client.query<Owner & pg.QueryResultRow>(SELECT_OWNER)).rows[0]);
        if (waitedMs >= lockWaitMs) throw problem;
        waiting?.(problem);
        isReported = true;
      }
      await systemClock.sleep(AGAIN_MS, signal);
    }
  };
}

function problemOf(owner: Owner | undefined): PgnetdError {
  if (owner === undefined) return new PgnetdError("PG_UNREACHABLE", "another session holds the lock for migrations");
  const who = holderText(owner);
  if (owner.mayMigrate === true) {
    return new PgnetdError("PG_UNREACHABLE", `${who} holds the lock for migrations`, {
      hint: `Wait for it where it is a pgnetd that migrates. Where it hangs: ${endHint(owner)}`,
    });
  }
  return new PgnetdError("PG_UNREACHABLE", `${who} holds the lock for migrations and is no pgnetd`, {
    hint: endHint(owner),
  });
}
