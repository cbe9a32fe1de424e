import type pg from "pg";

import { holderText, JOIN_PREPARED, type LockOwner } from "../pg/lock-owner.ts";
import { type Lsn, parseLsn } from "../pg/lsn.ts";
import type { Queryable } from "../pg/pool.ts";
import { sessionName } from "../pg/session-name.ts";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID, type LockKey } from "../wal/advisory-lock.ts";
import { ask } from "../wal/wire.ts";

/** `application_name` of a session that leads. */
export const LEADER_APPLICATION: string = sessionName("leader");

/** Of every version of pgnetd, since the other may be of before an upgrade. */
const OWN_APPLICATIONS = "pgnetd";

/** Who has the leader's lock: a session as `pg_stat_activity` shows it, or a prepared transaction; any role can take the lock. */
export interface LockHolder extends LockOwner {
  readonly address: string | null;
  /** Whether its role may write results, as that of a daemon must and others do not; null where the session is gone. */
  readonly mayLead: boolean | null;
}

/** Who holds the lock or has it handed over, of several first who may lead; `where` narrows it down. */
export function selectHolder(where: string): string {
  return `${selectOwners(`l.granted and ${where}`)} order by "mayLead" desc nulls last, l.classid desc limit 1`;
}

function selectOwners(where: string): string {
  return `select l.pid, p.gid, coalesce(a.usename, p.owner)::text as user, a.application_name as application, a.client_addr::text as address,
    pg_catalog.has_table_privilege(
      a.usesysid, pg_catalog.to_regclass('net.http_response_detail')::oid, 'insert'::text) as "mayLead"
  from pg_catalog.pg_locks l left join pg_catalog.pg_stat_activity a on a.pid = l.pid
  ${JOIN_PREPARED}
  where l.locktype = 'advisory' and l.objsubid = 2::int2
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
    and l.classid in ('${LOCK_CLASS_ID}'::oid, '${HANDOVER_CLASS_ID}'::oid) and ${where}`;
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

const SELECT_HOLDER = selectHolder("l.objid = '0'::oid");

/** Who has the leader's lock, asked over an ordinary connection; null where nobody has. */
export async function readHolder(db: Queryable): Promise<LockHolder | null> {
  return (await db.query<LockHolder & pg.QueryResultRow>({ text: SELECT_HOLDER })).rows[0] ?? null;
}

/** What another connection sees of a session that streams. */
export interface LeadReading {
  /** It has the leader's lock, or has it handed over. */
  readonly leads: boolean;
  /** The last position that it has processed; null without a slot. */
  readonly confirmed: Lsn | null;
}

const READ_LEAD = `select exists (
    select from pg_catalog.pg_locks l
    where l.pid = $1 and l.granted and l.locktype = 'advisory' and l.objsubid = 2::int2 and l.classid in ('${LOCK_CLASS_ID}'::oid, '${HANDOVER_CLASS_ID}'::oid)
  ) as leads, (select s.confirmed_flush_lsn::text from pg_catalog.pg_replication_slots s where s.active_pid = $1) as confirmed`;

/** Reads what the session of the server's process `pid` has, over an ordinary connection; any role may. */
export async function readLead(db: Queryable, pid: number): Promise<LeadReading> {
  const { rows } = await db.query<{ leads: boolean; confirmed: string | null }>({ text: READ_LEAD, values: [pid] });
  const { leads = false, confirmed = null } = rows[0] ?? {};
  return { leads, confirmed: confirmed === null ? null : parseLsn(confirmed) };
}

const SELECT_WAITING = `${selectOwners("not l.granted and l.objid = '0'::oid")} order by l.pid limit 100`;

/** Who waits for the leader's lock and is no pgnetd: it would have it as soon as the daemon ends. Null where nobody does. */
export async function readWaitingStranger(db: Queryable): Promise<LockHolder | null> {
  const { rows } = await db.query<LockHolder & pg.QueryResultRow>({ text: SELECT_WAITING });
  return rows.find((row) => isStranger(row)) ?? null;
}

/**
 * True for what is no pgnetd: any role can take the lock, by mistake or malice. A prepared transaction never leads. Of a session
 * its role says so; of one that may lead its name is believed, too, since a person may have taken the lock by hand.
 */
export function isStranger({
  pid,
  mayLead,
  application,
}: Pick<LockHolder, "pid" | "mayLead" | "application">): boolean {
  return pid === null || mayLead === false || (application !== null && !application.startsWith(OWN_APPLICATIONS));
}

/** True where both are the same session or prepared transaction, or nobody. */
export function isSameHolder(one: LockHolder | null, other: LockHolder | null): boolean {
  return one?.pid === other?.pid && one?.gid === other?.gid;
}

/** What is wrong where a stranger has the lock. */
export function strangerText(holder: LockOwner): string {
  return `${holderText(holder)} has the leader's lock and is no pgnetd`;
}
