import pg from "pg";

import { ownObjects } from "./own-objects.ts";
import { ownSchemas } from "./parts.ts";
import type { Queryable } from "./pool.ts";

/**
 * A trigger runs with the rights of whoever writes, and a foreign key is checked with those of the owner. Left out are roles that have the
 * owner's rights anyway, the present one, and what no foreign key can refer to where every role has the right: migrations give that.
 */
const SELECT_CODE_RIGHTS = `
select coalesce(r.rolname, 'public')::text as role, e.grantee = 0 as "isPublic",
  pg_catalog.string_agg(distinct e.privilege_type, ', ' order by e.privilege_type) as rights,
  pg_catalog.string_agg(distinct c.oid::regclass::text, ', ' order by c.oid::regclass::text) as tables
from unnest($1::text[]) as t (name) join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(t.name)
cross join lateral (
  select c.relacl as acl
  union all
  select a.attacl from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attacl is not null and not a.attisdropped
) a
cross join lateral pg_catalog.aclexplode(a.acl) e
left join pg_catalog.pg_roles r on r.oid = e.grantee
where e.privilege_type in ('TRIGGER', 'REFERENCES') and e.grantee <> c.relowner and r.rolname is distinct from current_user
  and case e.grantee
    when 0 then e.privilege_type = 'TRIGGER' or exists (
      select from pg_catalog.pg_index i
      where i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null)
    else not pg_catalog.pg_has_role(e.grantee, c.relowner, 'usage')
  end
group by r.rolname, e.grantee order by e.grantee = 0 desc, role`;

/** Rights of one role with which it can have code of its own run as somebody else. */
export interface CodeRights {
  /** `every role`, or `role x`. */
  readonly who: string;
  /** TRIGGER, REFERENCES, or both. */
  readonly rights: string;
  readonly tables: string;
  /** The statement that takes them back. */
  readonly revoke: string;
}

/** Who has such rights on tables of ours, beside those who have the owner's rights anyway. */
export async function codeRights(db: Queryable): Promise<readonly CodeRights[]> {
  const tables = (await ownSchemas(db)).flatMap((schema) => ownObjects(schema).tables);
  const { rows } = await db.query<{ role: string; isPublic: boolean; rights: string; tables: string }>({
    text: SELECT_CODE_RIGHTS,
    values: [tables],
  });
  return rows.map(({ role, isPublic, rights, tables: on }) => ({
    who: isPublic ? "every role" : `role ${role}`,
    rights,
    tables: on,
    revoke: `revoke ${rights.toLowerCase()} on table ${on} from ${isPublic ? "public" : pg.escapeIdentifier(role)} cascade;`,
  }));
}
