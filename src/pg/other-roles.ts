import pg from "pg";

import { ownObjects, type OwnSchema } from "./own-objects.ts";
import { ownSchemas, type Parts } from "./parts.ts";
import type { Queryable } from "./pool.ts";

/**
 * Rights on the schemas $4, and on what is ours in them, of roles that have none by being the owner, a superuser, the role $1 that may
 * call, or the daemon's: that writes answers, and may stream. What `net._lane` computes it computes for everybody.
 */
const SELECT_OTHERS = `
with thing (kind, name, owner, acl) as (
  select 'schema', n.nspname::text, n.nspowner, n.nspacl from pg_catalog.pg_namespace n where n.nspname = any ($4::text[])
  union all
  select 'function', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
  from unnest($2::text[]) as f (signature) join pg_catalog.pg_proc p on p.oid = pg_catalog.to_regprocedure(f.signature)
  where p.proname <> '_lane'
  union all
  select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass::text, c.relowner, a.acl
  from unnest($3::text[]) as t (name) join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(t.name), lateral (
    select c.relacl as acl
    union all
    select a.attacl from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attacl is not null
  ) a
), held as (
  select e.grantee, t.kind, pg_catalog.string_agg(distinct t.name, ', ') as names, pg_catalog.bool_or(e.is_grantable) as is_grantable
  from thing t, pg_catalog.aclexplode(t.acl) e
  where e.grantee <> t.owner and case e.grantee when 0 then true else not pg_catalog.pg_has_role(e.grantee, t.owner, 'usage') end
  group by e.grantee, t.kind
)
select coalesce(r.rolname, 'public')::text as role, h.kind, h.names, h.is_grantable as "isGrantable"
from held h left join pg_catalog.pg_roles r on r.oid = h.grantee
where r.rolname is distinct from $1 and not (
  h.grantee <> 0 and pg_catalog.has_table_privilege(h.grantee, 'net.http_response_detail', 'insert') and (
    r.rolreplication or exists (
      select from pg_catalog.pg_roles s where s.rolname = 'rds_replication' and pg_catalog.pg_has_role(h.grantee, s.oid, 'member')))
)
order by h.grantee = 0 desc, role, h.kind = 'schema' desc, h.kind`;

interface Held {
  readonly role: string;
  readonly kind: string;
  readonly names: string;
  readonly isGrantable: boolean;
}

/** Who may attach webhooks, by a grant of its own, and not call. */
const SELECT_ATTACHERS = `
select r.rolname::text as role, pg_catalog.bool_or(e.is_grantable) as "isGrantable"
from pg_catalog.pg_proc p cross join lateral pg_catalog.aclexplode(p.proacl) e join pg_catalog.pg_roles r on r.oid = e.grantee
where p.oid = pg_catalog.to_regprocedure('supabase_functions.http_request()') and e.grantee <> p.proowner
  and not pg_catalog.has_function_privilege(
    e.grantee, 'net.http_post(text, jsonb, jsonb, jsonb, integer)'::pg_catalog.regprocedure::pg_catalog.oid, 'execute')
group by r.rolname order by 1`;

const SEQUENCES: Readonly<Record<OwnSchema, string>> = {
  net: "net.http_request_queue_id_seq",
  supabase_functions: "supabase_functions.hooks_id_seq",
};

/** Which roles have rights that those asked for do not give them, and what takes these back, in words. */
export async function otherRoles(db: Queryable, { grants, webhooks }: Parts): Promise<readonly string[]> {
  const schemas = await ownSchemas(db);
  if (grants?.kind === "restricted") return otherCallers(db, schemas, grants.callers);
  return webhooks === true && schemas.includes("supabase_functions") ? attachers(db) : [];
}

/** A right to attach is given with the right to call, and stays where that is revoked: it may have been meant. */
async function attachers(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query<{ role: string; isGrantable: boolean }>({ text: SELECT_ATTACHERS });
  return rows.map(({ role, isGrantable }) => {
    const statement = `revoke execute on function supabase_functions.http_request() from ${pg.escapeIdentifier(role)}`;
    return `role ${role} may attach webhooks, though it may not call net.http_post; to take that back: ${statement}${isGrantable ? " cascade" : ""};`;
  });
}

async function otherCallers(db: Queryable, schemas: readonly OwnSchema[], callers: string): Promise<readonly string[]> {
  const own = schemas.map((schema) => ownObjects(schema));
  const functions = own.flatMap((one) => one.functions);
  const tables = [...own.flatMap((one) => one.tables), ...schemas.map((schema) => SEQUENCES[schema])];
  const values = [callers, functions, tables, schemas];
  const { rows } = await db.query<Held & pg.QueryResultRow>({ text: SELECT_OTHERS, values });
  const roles = Map.groupBy(rows, ({ role }) => role);
  return [...roles].map(([role, held]) => {
    const isPublic = role === "public";
    const name = isPublic ? role : pg.escapeIdentifier(role);
    const statements = held.map(
      ({ kind, names, isGrantable }) => `revoke all on ${kind} ${names} from ${name}${isGrantable ? " cascade" : ""};`,
    );
    const who = isPublic ? "every role has" : `role ${role} has`;
    return `grants are restricted to ${callers}, but ${who} rights that somebody gave; to take them back: ${statements.join(" ")}`;
  });
}
