import { readSql } from "../pg/migrations.ts";
import { findForeign } from "../pg/ownership.ts";
import { dropPlaceholder, type PlaceholderFate } from "../pg/owning-extension.ts";
import type { Queryable } from "../pg/pool.ts";
import { hideSettings } from "../pg/shown-settings.ts";

/** What became of the schemas that pgnetd was in. */
export interface SchemasDropped {
  /** Schemas that held nothing else. */
  readonly dropped: readonly string[];
  /** Schemas that stay, with what pgnetd did not make in them, as PostgreSQL describes it. */
  readonly kept: readonly { readonly schema: string; readonly objects: readonly string[] }[];
  readonly placeholder: PlaceholderFate;
}

const SELECT_PARTS = "select pg_catalog.to_regclass('net.pgnetd_parts') is not null as there";

const SELECT_WEBHOOKS = "select from net.pgnetd_parts where name = 'webhooks'";

const SELECT_SCHEMA = `
select n.oid is not null as there, pg_catalog.pg_has_role(n.nspowner, 'usage') as may,
  array(
    select pg_catalog.pg_describe_object(d.classid, d.objid, 0) from pg_catalog.pg_depend d
    where d.refclassid = 'pg_catalog.pg_namespace'::regclass and d.refobjid = n.oid and d.deptype = 'n'
    order by 1
  ) as objects
from (select) one left join pg_catalog.pg_namespace n on n.nspname = $1`;

/**
 * Drops what the migrations and the optional parts made, in the caller's transaction; a schema goes with it where nothing
 * else is in it. Throws the server's error where others use something of it.
 */
export async function dropSchemas(client: Queryable): Promise<SchemasDropped> {
  // Of an installation that failed at its first migration there is nothing of this.
  const hasParts = (await client.query<{ there: boolean }>({ text: SELECT_PARTS })).rows[0]?.there === true;
  const isRecorded = hasParts && ((await client.query({ text: SELECT_WEBHOOKS })).rowCount ?? 0) > 0;
  const hasWebhooks = isRecorded && (await findForeign(client, "supabase_functions")) === null;
  if (hasWebhooks) await client.query({ text: await readSql("optional/uninstall_webhooks.sql") });
  if (hasParts) await hideSettings(client);
  await client.query({ text: await readSql("optional/uninstall.sql") });
  const placeholder = await dropPlaceholder(client);
  const dropped: string[] = [];
  const kept: { readonly schema: string; readonly objects: readonly string[] }[] = [];
  for (const schema of hasWebhooks ? ["net", "supabase_functions"] : ["net"]) {
    const { rows } = await client.query<{ there: boolean; may: boolean; objects: string[] }>({
      text: SELECT_SCHEMA,
      values: [schema],
    });
    const { there, may, objects } = rows[0] ?? { there: false, may: false, objects: [] };
    if (!there) continue;
    if (!may || objects.length > 0) {
      kept.push({ schema, objects });
      continue;
    }
    await client.query({ text: `drop schema ${schema}` });
    dropped.push(schema);
  }
  return { dropped, kept, placeholder };
}
