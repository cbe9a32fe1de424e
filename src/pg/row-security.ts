import { PgnetdError } from "../base/errors.ts";
import type { Queryable } from "./pool.ts";

/** What the daemon reads and writes, and must see every row of. */
const TABLES = [
  "net.http_request_queue",
  "net._http_response",
  "net.http_response_detail",
  "net.http_dead_letter",
  "net.http_host_settings",
];

/**
 * SQL for what hides rows from the present role: one row where row security holds for it, else none. Whether its policies
 * let every row through cannot be told.
 */
const HIDING = `
select pg_catalog.format('row security holds for role %s on %s: rows may be hidden from it', current_user,
    pg_catalog.string_agg(t.name, ', ' order by t.place)) as why,
  pg_catalog.format('alter role %I bypassrls; -- or, as the owner of the tables: %s', current_user,
    pg_catalog.string_agg(pg_catalog.format('alter table %s disable row level security;', t.name), ' ' order by t.place)) as remedy
from pg_catalog.unnest(array[${TABLES.map((table) => `'${table}'`).join(", ")}]::text[]) with ordinality as t (name, place)
where pg_catalog.row_security_active(pg_catalog.to_regclass(t.name)::oid)
having pg_catalog.count(*) > 0`;

/** Why the present role may not see every row, and what mends it; null where it does. */
export async function rowSecurityProblem(db: Queryable): Promise<PgnetdError | null> {
  const { rows } = await db.query<{ why: string; remedy: string }>({ text: HIDING });
  const [found] = rows;
  return found === undefined ? null : new PgnetdError("PG_REFUSED", found.why, { hint: found.remedy });
}

/** Throws PG_REFUSED where row security holds for the present role. */
export async function assertVisible(db: Queryable): Promise<void> {
  const problem = await rowSecurityProblem(db);
  if (problem !== null) throw problem;
}
