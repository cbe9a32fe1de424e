import pg from "pg";

/** Who has an advisory lock: a session, or a prepared transaction. */
export interface LockOwner {
  /** Null for a prepared transaction: it belongs to no session. */
  readonly pid: number | null;
  /** The name of the prepared transaction; null for a session. */
  readonly gid: string | null;
  readonly user: string | null;
  readonly application: string | null;
}

/**
 * Joins to a row `l` of `pg_locks` the prepared transaction `p` that it belongs to, by the lock on its own transaction id: the
 * virtual transaction is the one of the session that prepared it. Reads nothing for the lock of a session.
 */
export const JOIN_PREPARED = `left join lateral (
    select x.gid, x.owner
    from pg_catalog.pg_locks t join pg_catalog.pg_prepared_xacts x on x.transaction = t.transactionid
    where l.pid is null and t.pid is null and t.locktype = 'transactionid' and t.virtualtransaction = l.virtualtransaction
    limit 1
  ) p on true`;

/** A gid or the name of a role may contain anything, line breaks and terminal sequences too. */
const SHOWABLE = /^[\p{L}\p{N}\p{P}\p{S} ]+$/u;

/** Who it is, for a person to read. */
export function holderText({ pid, gid, user, application }: LockOwner): string {
  const name = gid !== null && SHOWABLE.test(gid) ? pg.escapeLiteral(gid).trim() : "";
  const details = [name, application ?? "", user === null ? "" : `role ${user}`].filter((text) => text !== "");
  const what = pid === null ? "a prepared transaction" : `process ${pid}`;
  return details.length === 0 ? what : `${what} (${details.join(", ")})`;
}

/** How to end it, and who may: the role of the daemon often may not. */
export function endHint({ pid, gid, user }: Pick<LockOwner, "pid" | "gid" | "user">): string {
  // A name with a line break would end the comment.
  const roles = [
    ...(user === null || !SHOWABLE.test(user) ? [] : [`role ${user}`]),
    ...(pid === null ? [] : ["a member of pg_signal_backend"]),
  ];
  const as = [...roles, "a superuser"].join(" or ");
  if (pid !== null) return `End it: select pg_terminate_backend(${pid}); -- as ${as}`;
  if (gid !== null && SHOWABLE.test(gid))
    return `End it: rollback prepared ${pg.escapeLiteral(gid).trim()}; -- as ${as}`;
  return "End it: rollback prepared with its gid, which pg_prepared_xacts shows.";
}
