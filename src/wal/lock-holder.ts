import type pg from "pg";

import { sessionName } from "../pg/session-name.ts";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID, type LockKey } from "./advisory-lock.ts";
import { ask } from "./wire.ts";

/** `application_name` of a session that leads. */
export const LEADER_APPLICATION: string = sessionName("leader");

/** Of every version of pgnetd, since the other may be of before an upgrade. */
const OWN_APPLICATIONS = "pgnetd";

/** Who has the leader's lock: a session as `pg_stat_activity` shows it; any role can take the lock. */
export interface LockHolder {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly address: string | null;
  /** Whether its role may write results, as that of a daemon must and others do not; null where the session is gone. */
  readonly mayLead: boolean | null;
}

/** Who holds the lock or has it handed over, of several first who may lead; `where` narrows it down. */
export function selectHolder(where: string): string {
  return `select l.pid, a.usename::text as user, a.application_name as application, a.client_addr::text as address,
    pg_catalog.has_table_privilege(
      a.usesysid, pg_catalog.to_regclass('net.http_response_detail')::oid, 'insert'::text) as "mayLead"
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  where l.granted and l.locktype = 'advisory' and l.objsubid = 2::int2
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
    and l.classid in ('${LOCK_CLASS_ID}'::oid, '${HANDOVER_CLASS_ID}'::oid) and ${where}
  order by "mayLead" desc nulls last, l.classid desc limit 1`;
}

/** Of one set of daemons, and of one of the two locks where `classId` is given. */
export async function holderOf(
  client: pg.ClientBase,
  { shard, classId }: { readonly shard: number; readonly classId?: LockKey["classId"] },
  answerMs: number,
): Promise<LockHolder | null> {
  const which = classId === undefined ? "" : ` and l.classid = '${classId}'::oid`;
  const text = selectHolder(`l.objid = '${shard}'::oid${which}`);
  return (await ask<LockHolder & pg.QueryResultRow>(client, text, answerMs))[0] ?? null;
}

/**
 * True for a session that is no pgnetd: any role can take the lock, by mistake or malice. Its role says so; of one that
 * may lead its name is believed, too, since a person may have taken the lock by hand.
 */
export function isStranger({ mayLead, application }: Pick<LockHolder, "mayLead" | "application">): boolean {
  return mayLead === false || (application !== null && !application.startsWith(OWN_APPLICATIONS));
}

/** Who it is, for a person to read. */
export function holderText({ pid, user, application }: Pick<LockHolder, "pid" | "user" | "application">): string {
  const details = [application ?? "", user === null ? "" : `role ${user}`].filter((text) => text !== "");
  return details.length === 0 ? `process ${pid}` : `process ${pid} (${details.join(", ")})`;
}

/** What is wrong where a stranger has the lock. */
export function strangerText(holder: Pick<LockHolder, "pid" | "user" | "application">): string {
  return `${holderText(holder)} has the leader's lock and is no pgnetd`;
}

/** What to do about it. */
export function strangerHint({ pid }: Pick<LockHolder, "pid">): string {
  return `End it: select pg_terminate_backend(${pid});`;
}
