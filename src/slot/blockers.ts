import type { StreamOutage } from "./stream-outage.ts";

/** A transaction that the creation of a slot waits for; process 0 is a prepared transaction. */
export interface SlotBlocker {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly since: string | null;
}

/** SQL for the blockers of the process that `pid`, an expression, says, as JSON. */
export function selectBlockers(pid: string): string {
  return `select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'pid', b.pid, 'user', a.usename, 'application', a.application_name, 'since', a.xact_start) order by b.pid), '[]')
    from pg_catalog.unnest(pg_catalog.pg_blocking_pids(${pid})) as b (pid) left join pg_catalog.pg_stat_activity a using (pid)`;
}

/** What keeps the slot from being created, and how to end that; null without blockers. */
export function blockedSlot(slot: string, blockers: readonly SlotBlocker[]): StreamOutage | null {
  if (blockers.length === 0) return null;
  const names = blockers.map(({ pid, user, application, since }) =>
    pid === 0
      ? "a prepared transaction (see pg_prepared_xacts)"
      : `process ${pid} (user ${user ?? "?"}, application ${JSON.stringify(application ?? "")}, in a transaction since ${since ?? "?"})`,
  );
  return {
    reason: `replication slot "${slot}" can be made when these have ended: ${names.join(", ")}`,
    sqlstate: null,
    hint: "Commit or end these transactions (pg_terminate_backend); requests are sent meanwhile, by a sweep each second.",
  };
}
