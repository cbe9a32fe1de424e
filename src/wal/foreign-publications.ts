import { z } from "zod";

import type { Queryable } from "../pg/pool.ts";
import { PUBLICATIONS } from "../pg/own-publications.ts";

/** A publication of somebody else that has tables of schema `net`: requests with their headers and bodies, and answers. */
export interface ForeignPublication {
  readonly name: string;
  /** The tables of schema `net` in it, as `schema.name`. */
  readonly tables: readonly string[];
  /** How to take them out. */
  readonly hint: string;
}

/** A schema is in a publication where a table of it is, and not by its own name; PostgreSQL 14 has no such publications. */
const SELECT = `
select p.pubname::text as name, p.puballtables as all_tables,
  pg_catalog.array_agg(pg_catalog.format('%I.%I', t.schemaname, t.tablename) order by t.tablename) as tables,
  pg_catalog.array_agg(pg_catalog.format('%I.%I', t.schemaname, t.tablename) order by t.tablename) filter (where exists (
    select from pg_catalog.pg_publication_rel r
    join pg_catalog.pg_class c on c.oid = r.prrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where r.prpubid = p.oid and n.nspname = t.schemaname and c.relname = t.tablename
  )) as listed
from pg_catalog.pg_publication_tables t join pg_catalog.pg_publication p on p.pubname = t.pubname
where t.schemaname = 'net' and p.pubname::text <> all ($1::text[])
group by p.oid, p.pubname, p.puballtables order by p.pubname`;

const rowsSchema = z.array(
  z.object({
    name: z.string(),
    all_tables: z.boolean(),
    tables: z.array(z.string()),
    listed: z.array(z.string()).nullable(),
  }),
);

/** Looks for publications of others that have tables of schema `net`. */
export async function readForeignPublications(db: Queryable): Promise<readonly ForeignPublication[]> {
  const { rows } = await db.query({ text: SELECT, values: [PUBLICATIONS.map(({ name }) => name)] });
  return rowsSchema.parse(rows).map(({ name, all_tables, tables, listed }) => ({
    name,
    tables,
    hint: all_tables ? recreate(name) : alter(name, listed ?? [], tables),
  }));
}

function recreate(name: string): string {
  return `a publication for all tables has no exceptions: drop publication ${quoted(name)}, and create it for the schemas or tables that it is meant for`;
}

function alter(name: string, listed: readonly string[], tables: readonly string[]): string {
  const statements: string[] = [];
  if (listed.length < tables.length) statements.push(`alter publication ${quoted(name)} drop tables in schema net;`);
  if (listed.length > 0) statements.push(`alter publication ${quoted(name)} drop table ${listed.join(", ")};`);
  return statements.join(" ");
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
