import { z } from "zod";

import { PgnetdError } from "../base/errors.ts";
import { type NeededPublication, PUBLICATIONS } from "../pg/own-publications.ts";

/** A row in it means that the schema was recreated, where the plugin brings it. */
export const INSTALLATION_TABLE = "net.pgnetd_installation";

/** Of publication `p`; a list of columns is of less than the table as soon as that has one more. P2: and with row security rows may be hidden from sweeps. */
const VERSION = `pg_catalog.concat(p.oid, '/', p.xmin, '/', (
        select pg_catalog.string_agg(pg_catalog.concat(r.oid, '/', r.xmin, '/', c.relnatts, '/', pg_catalog.row_security_active(c.oid)), ',' order by r.oid)
        from pg_catalog.pg_publication_rel r join pg_catalog.pg_class c on c.oid = r.prrelid where r.prpubid = p.oid
      ))`;

/**
 * One row for each of `needed`. Without parameters, as a replication connection demands. Row filters and column lists
 * exist from PostgreSQL 15 on, hence the detour by `to_jsonb`.
 */
export function selectPublications(needed: readonly NeededPublication[]): string {
  const values = needed.map(({ name, schema, table }) => `('${name}', '${schema}', '${table}')`).join(", ");
  return `select w.name, p.oid is not null as there,
      p.pubinsert is true and exists (
        select from pg_catalog.pg_publication_tables t
        where t.pubname = w.name and t.schemaname = w.schema and t.tablename = w.tab
          and pg_catalog.to_jsonb(t) ->> 'rowfilter'::text is null
          and coalesce(pg_catalog.jsonb_array_length(pg_catalog.to_jsonb(t) -> 'attnames'::text) = (
            select pg_catalog.count(*) from pg_catalog.pg_attribute a
            where a.attrelid = pg_catalog.format('%I.%I', w.schema, w.tab)::regclass and a.attnum > 0 and not a.attisdropped
          ), true)
      ) as whole,
      ${VERSION} as version
    from (values ${values}) as w (name, schema, tab)
    left join pg_catalog.pg_publication p on p.pubname = w.name
    order by w.name`;
}

/** The same `version` alone: it reads catalogs by their indexes and locks no table, so that it can be asked often. */
export function selectVersion(needed: readonly NeededPublication[]): string {
  return `select ${VERSION} as version
    from (values ${needed.map(({ name }) => `('${name}')`).join(", ")}) as w (name)
    left join pg_catalog.pg_publication p on p.pubname = w.name
    order by w.name`;
}

const versionsSchema = z.array(z.object({ version: z.string() }));
const rowsSchema = z.array(z.object({ name: z.string(), there: z.boolean(), whole: z.boolean(), version: z.string() }));

/** What changes with every change of the publications, of the rows of `selectVersion` or `selectPublications`. */
export function readVersion(rows: unknown): string {
  return versionsSchema
    .parse(rows)
    .map(({ version }) => version)
    .join(" ");
}

/** Columns and row security of one table, in a version. */
const OF_TABLE = /\/(\d+)\/[tf](?=[, ]|$)/g;

/** What is different in a version that was read later, in words. */
export function changeOf(before: string, after: string): string {
  const differs = (kept: string): boolean => before.replaceAll(OF_TABLE, kept) !== after.replaceAll(OF_TABLE, kept);
  if (differs("")) return "the publications were changed";
  return differs("/$1") ? "a published table has one more column" : "row security of a published table was changed";
}

/**
 * Throws STREAM_UNAVAILABLE where the rows of `selectPublications` show that the stream would stay silent; else returns
 * what changes with every change of the publications.
 */
export function assertPublished(rows: unknown): string {
  const found = rowsSchema.parse(rows);
  const idle = found.find(({ whole }) => !whole);
  if (idle === undefined) return readVersion(found);
  const { name, there } = idle;
  const { make } = PUBLICATIONS.find((one) => one.name === name) ?? { make: "" };
  throw there
    ? new PgnetdError("STREAM_UNAVAILABLE", `publication "${name}" does not publish every insert into its table`, {
        hint: `Recreate it: drop publication ${name}; ${make};`,
      })
    : new PgnetdError("STREAM_UNAVAILABLE", `publication "${name}" does not exist`, { hint: `Make it: ${make};` });
}
