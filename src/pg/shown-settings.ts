import type pg from "pg";

import { SETTINGS } from "../config/settings.ts";
import type { Queryable } from "./pool.ts";
import { SQLSTATE, sqlstateOf } from "./sqlstate.ts";

/**
 * Those of pg_net's settings that nobody gave a value, as `alter database`: `show pg_net.ttl` and `current_setting` raise
 * where there is none. The values are our defaults, so that they change nothing: what is set for the daemon itself wins.
 */
const SELECT_MISSING = `
select w.name, pg_catalog.format('%s=%s', w.name, v.value) as entry,
  pg_catalog.format('alter database %I set %s = %L', d.datname, w.name, v.value) as statement
from pg_catalog.pg_database d, (values
  (1, 'pg_net.ttl', $1::text), (2, 'pg_net.batch_size', $2::text), (3, 'pg_net.database_name', null), (4, 'pg_net.username', '')
) as w (n, name, value), lateral (select coalesce(w.value, d.datname::text)) as v (value)
where d.datname = pg_catalog.current_database() and pg_catalog.current_setting(w.name, true) is null and not exists (
  select from pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c
  where s.setrole = 0::oid and s.setdatabase in (0::oid, d.oid) and pg_catalog.split_part(c, '=', 1) = w.name
)
order by w.n`;

/** As in pg_db_role_setting, one on each line. */
const REMEMBER = `insert into net.pgnetd_parts (name, setting) values ('settings', $1)
on conflict (name) where name is not null do update set setting = pg_catalog.concat_ws(e'\\n', pgnetd_parts.setting, excluded.setting)`;

const SELECT_RESETS = `
select distinct pg_catalog.format('alter database %I reset %s', d.datname, pg_catalog.split_part(w.entry, '=', 1)) as statement
from net.pgnetd_parts p, pg_catalog.unnest(pg_catalog.string_to_array(p.setting, e'\\n')) w (entry),
  pg_catalog.pg_database d, pg_catalog.pg_db_role_setting s
where p.name = 'settings' and d.datname = pg_catalog.current_database()
  and s.setrole = 0::oid and s.setdatabase = d.oid and w.entry = any (s.setconfig)`;

interface Missing {
  readonly name: string;
  readonly entry: string;
  readonly statement: string;
}

/**
 * Gives pg_net's settings values for this database, in the caller's transaction, where nobody did; returns in words what
 * this role may not do.
 */
export async function showSettings(client: pg.ClientBase): Promise<readonly string[]> {
  const values = [SETTINGS.results.ttlSeconds.fallback, SETTINGS.rate.perSecond.fallback];
  const { rows } = await client.query<Missing & pg.QueryResultRow>(SELECT_MISSING, values);
  if (rows.length === 0) return [];
  const statements = rows.map(({ statement }) => statement);
  if (await isAllowed(client, statements)) {
    await client.query(REMEMBER, [rows.map(({ entry }) => entry).join("\n")]);
    return [];
  }
  const names = rows.map(({ name }) => name).join(", ");
  return [`show ${names} fails here, and this role may not set them; a superuser may: ${statements.join("; ")};`];
}

/** Takes back what `showSettings` did and nobody changed since, in the caller's transaction, where this role may. */
export async function hideSettings(client: Queryable): Promise<void> {
  const { rows } = await client.query<{ statement: string }>({ text: SELECT_RESETS });
  await isAllowed(
    { query: (text) => client.query({ text }) },
    rows.map(({ statement }) => statement),
  );
}

/** Runs all of `statements`, or none: false where the role may not. */
async function isAllowed(
  client: { query(text: string): Promise<unknown> },
  statements: readonly string[],
): Promise<boolean> {
  await client.query("savepoint settings");
  try {
    for (const statement of statements) await client.query(statement);
    await client.query("release settings");
    return true;
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    await client.query("rollback to settings; release settings");
    return false;
  }
}
