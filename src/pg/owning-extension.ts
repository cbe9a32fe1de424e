import type { Queryable } from "./pool.ts";

/** SQL for the name of the extension that owns schema `net` or something in it; null where none does, as with the placeholder. */
export const OWNING_EXTENSION = `(
  select e.extname::text from pg_catalog.pg_depend d
  join pg_catalog.pg_extension e on d.refclassid = 'pg_catalog.pg_extension'::regclass and e.oid = d.refobjid
  cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) o
  where d.deptype = 'e' and (o.schema = 'net' or o.type = 'schema' and o.name = 'net')
  limit 1
)`;

const SELECT_PLACEHOLDER = `
select pg_catalog.pg_has_role(e.extowner, 'usage') as may from pg_catalog.pg_extension e
where e.extname = 'pg_net' and not exists (
  select from pg_catalog.pg_depend d
  where d.refclassid = 'pg_catalog.pg_extension'::regclass and d.refobjid = e.oid and d.deptype = 'e'
)`;

/** What became of the placeholder of the extension pg_net; null where there is none. */
export type PlaceholderFate = "dropped" | "another role owns it" | null;

/** Drops an extension pg_net that owns nothing: without pgnetd it would promise what is not there. */
export async function dropPlaceholder(client: Queryable): Promise<PlaceholderFate> {
  const { rows } = await client.query<{ may: boolean }>({ text: SELECT_PLACEHOLDER });
  const [placeholder] = rows;
  if (placeholder === undefined) return null;
  if (!placeholder.may) return "another role owns it";
  await client.query({ text: "drop extension pg_net" });
  return "dropped";
}
