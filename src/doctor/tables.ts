import { type Check, type DatabaseContext, ok, type Result, warning } from "./check.ts";
import { setParameter } from "./remedies.ts";

/** Whether the server keeps the tables small. */
export const TABLE_CHECKS: readonly Check[] = [
  {
    id: "autovacuum",
    group: "tables",
    stage: "installed",
    needs: ["schema-version"],
    on: "database",
    run: checkVacuum,
  },
  { id: "dead-rows", group: "tables", stage: "installed", needs: ["schema-version"], on: "database", run: checkDead },
  { id: "old-transactions", group: "tables", stage: "always", on: "database", run: checkTransactions },
];

const SELECT_VACUUM = `
select pg_catalog.current_setting('autovacuum')::bool and pg_catalog.current_setting('track_counts')::bool as runs,
  array(
    select pg_catalog.format('net.%I', c.relname) from pg_catalog.pg_class c
    where c.relnamespace = 'net'::regnamespace and c.relkind = 'r' and 'autovacuum_enabled=false' = any (c.reloptions)
    order by 1
  ) as off`;

async function checkVacuum({ db, server }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ runs: boolean; off: string[] }>({ text: SELECT_VACUUM });
  const { runs = true, off = [] } = rows[0] ?? {};
  if (!runs) {
    return warning(
      "autovacuum does not run on this server: the outbox, in which each row lives for milliseconds, grows without end",
      setParameter(server.provider, { name: "autovacuum", value: "on", restart: false }),
    );
  }
  if (off.length === 0) return ok("autovacuum runs, also for the tables of pgnetd");
  return warning(
    `autovacuum is switched off for ${off.join(", ")}`,
    off.map((table) => `alter table ${table} reset (autovacuum_enabled);`).join(" "),
  );
}

/** Autovacuum removes dead rows within a minute or two, so that at full speed there are this many at any time. */
const MANY_DEAD = 500_000;
/** Of a busy table of answers a part is always dead. */
const SHARE = 4;

const SELECT_DEAD = `
select pg_catalog.format('net.%I', s.relname) as name, s.n_dead_tup::float8 as dead,
  pg_catalog.pg_size_pretty(pg_catalog.pg_total_relation_size(s.relid)) as size
from pg_catalog.pg_stat_user_tables s
where s.schemaname = 'net' and s.n_dead_tup > ${MANY_DEAD} and s.n_dead_tup > ${SHARE} * s.n_live_tup order by s.n_dead_tup desc`;

async function checkDead({ db }: DatabaseContext): Promise<Result> {
  const { rows } = await db.query<{ name: string; dead: number; size: string }>({ text: SELECT_DEAD });
  if (rows.length === 0) return ok("the tables are mostly of live rows");
  return warning(
    rows.map(({ name, dead, size }) => `${name} has ${dead} dead rows and is ${size}`).join("; "),
    `${rows.map(({ name }) => `vacuum ${name};`).join(" ")} -- where they stay, see old-transactions and autovacuum`,
  );
}

/** Process 0 is a prepared transaction. Of sessions of other roles the start of a transaction may be hidden. */
const SELECT_OLD = `
select pid, who, seconds from (
  select a.pid, pg_catalog.format('process %s (role %s, %s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no name')) as who,
    extract(epoch from pg_catalog.clock_timestamp() - a.xact_start)::float8 as seconds
  from pg_catalog.pg_stat_activity a
  where a.xact_start is not null and a.pid <> pg_catalog.pg_backend_pid() and (a.backend_xid is not null or a.backend_xmin is not null)
    and coalesce(a.backend_type, '') <> 'autovacuum worker'
  union all
  select 0, pg_catalog.format('prepared transaction %L', x.gid),
    extract(epoch from pg_catalog.clock_timestamp() - x.prepared)::float8
  from pg_catalog.pg_prepared_xacts x
) t where seconds >= $1 order by seconds desc limit 5`;

async function checkTransactions({ db, oldTransactionSeconds }: DatabaseContext): Promise<Result> {
  const values = [oldTransactionSeconds];
  const { rows } = await db.query<{ pid: number; who: string; seconds: number }>({ text: SELECT_OLD, values });
  if (rows.length === 0) return ok(`no transaction is older than ${oldTransactionSeconds} s`);
  const who = rows.map((row) => `${row.who}, for ${Math.round(row.seconds)} s`).join("; ");
  const ends = rows.map(({ pid, who: name }) =>
    pid === 0
      ? `rollback prepared ${name.slice("prepared transaction ".length)};`
      : `select pg_terminate_backend(${pid});`,
  );
  return warning(
    `transactions keep vacuum from removing rows, and a new slot from being created: ${who}`,
    ends.join(" "),
  );
}
