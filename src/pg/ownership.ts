import pg from "pg";

import type { ErrorCode } from "../base/errors.ts";
import { PgnetdError } from "../base/errors.ts";
import { ownObjects, type OwnSchema } from "./own-objects.ts";
import type { Queryable } from "./pool.ts";

/**
 * SQL that is true where the present role may run what belongs to the role with the oid `owner`: triggers, defaults and views
 * run with the rights of whoever uses a table. That is a role that has these rights anyway, such as a superuser, or one
 * whose rights an administrator has given to the present role. A membership that others gave counts for nothing: up to
 * PostgreSQL 15 every role can make any other a member of itself.
 */
export function isTrusted(owner: string): string {
  return `(pg_catalog.pg_has_role(${owner}, current_user, 'usage'::text) or ${owner} in (
    with recursive given (role) as (
      select m.roleid from ${GIVEN} join pg_catalog.pg_roles me on me.oid = m.member where me.rolname = current_user
      union
      select m.roleid from given join ${GIVEN} on m.member = given.role
    )
    select given.role from given
  ))`;
}

const GIVEN = `(pg_catalog.pg_auth_members m join pg_catalog.pg_roles giver
        on giver.oid = m.grantor and (giver.rolsuper or giver.rolcreaterole))`;

/** The schema itself, and what has a name of ours in it. */
const SELECT_FOREIGN = `
select o.what, pg_catalog.pg_get_userbyid(o.owner)::text as owner, current_user::text as role
from (
  select pg_catalog.format('schema %I', n.nspname) as what, n.nspowner as owner
  from pg_catalog.pg_namespace n where n.nspname = $1
  union all
  select pg_catalog.format('table %I.%I', n.nspname, c.relname), c.relowner
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = any ($2::name[])
  union all
  select pg_catalog.format('function %s', p.oid::regprocedure), p.proowner
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = $1 and p.proname = any ($3::name[])
  union all
  select pg_catalog.format('type %s', t.oid::regtype), t.typowner
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where n.nspname = $1 and t.typname = any ($4::name[])
) o (what, owner)
where not ${isTrusted("o.owner")}
limit 1`;

/** Something whose owner is not to be trusted. */
export interface Foreign {
  readonly what: string;
  readonly owner: string;
  /** The present role. */
  readonly role: string;
}

/**
 * A schema of ours, or something in it with a name of ours, that belongs to a role that the present one must not run code
 * of; null where there is none. Reads the catalog alone, so that it can be asked before anything there is touched.
 */
export async function findForeign(db: Queryable, schema: OwnSchema): Promise<Foreign | null> {
  const { functions, tables, types } = ownObjects(schema);
  const names = (of: readonly string[]): readonly string[] => of.map((one) => one.replace(/^\w+\.(\w+).*$/s, "$1"));
  const values = [schema, names(tables), names(functions), names(types)];
  return (await db.query<Foreign & Record<string, unknown>>({ text: SELECT_FOREIGN, values })).rows[0] ?? null;
}

/** Throws `code` where there is something foreign in a schema of ours. */
export async function assertOwn(db: Queryable, schema: OwnSchema, code: ErrorCode): Promise<void> {
  const found = await findForeign(db, schema);
  if (found === null) return;
  const { what, owner, role } = found;
  throw new PgnetdError(code, `${what} belongs to role ${owner}, whose code would run with the rights of ${role}`, {
    hint: `Where it is yours: connect as ${owner}, or have an administrator run: grant ${pg.escapeIdentifier(owner)} to ${pg.escapeIdentifier(role)}. Where it is not, drop it.`,
  });
}

/**
 * Makes a schema of ours where there is none, in the caller's transaction, and throws `code` where it is foreign. It is looked at after
 * that: nobody else can make it any more.
 */
export async function makeOwn(db: Queryable, schema: OwnSchema, code: ErrorCode): Promise<void> {
  await db.query({
    text: `do $$ begin
      if pg_catalog.to_regnamespace('${schema}') is null then create schema ${schema}; end if;
    end $$`,
  });
  await assertOwn(db, schema, code);
}
