import type pg from "pg";
import { readSql } from "./migrations.ts";
import { ownObjects, type OwnSchema } from "./own-objects.ts";
import { isTrusted, makeOwn } from "./ownership.ts";
import type { Queryable } from "./pool.ts";

/** Optional parts of an installation; a part that was asked for once is kept up to date from then on. */
export interface Parts {
  /** True installs the trigger function `supabase_functions.http_request()` and its table. */
  readonly webhooks?: boolean | undefined;
  /** Who may call: every role, as with pg_net and as installed, or one role alone, without any right on the tables. */
  readonly grants?: { readonly kind: "open" } | { readonly kind: "restricted"; readonly callers: string } | undefined;
}

const INSTALLED = "select name, setting from net.pgnetd_parts";

const REMEMBER = `insert into net.pgnetd_parts (name, setting) values ($1, $2)
on conflict (name) where name is not null do update set setting = excluded.setting`;

const TELL_CALLERS = `select pg_catalog.set_config('pgnetd.callers', $1, true),
  pg_catalog.set_config('pgnetd.former_callers', $2, true), pg_catalog.set_config('pgnetd.schemas', $3, true),
  pg_catalog.set_config('pgnetd.functions', $4, true), pg_catalog.set_config('pgnetd.tables', $5, true)`;

/** A trigger function that is not ours, such as Supabase's own: ours comes with helpers, and belongs to us. */
const FOREIGN_WEBHOOKS = `
select pg_catalog.pg_get_userbyid(p.proowner)::text as owner from pg_catalog.pg_proc p
where p.oid = pg_catalog.to_regprocedure('supabase_functions.http_request()') and not (
  ${isTrusted("p.proowner")}
  and pg_catalog.to_regprocedure('supabase_functions._send(oid, text, jsonb, text[])') is not null
)`;

/**
 * Applies the parts asked for now or before, inside the caller's transaction, and returns what was asked for and left out, in
 * words. Grants come last: they cover the rest.
 */
export async function applyParts(client: pg.ClientBase, asked: Parts): Promise<readonly string[]> {
  const before = await readParts(client);
  const foreign = await foreignWebhooks(client);
  const webhooks = foreign === null && (asked.webhooks === true || before.has("webhooks"));
  if (webhooks) {
    await makeOwn(client, "supabase_functions", "MIGRATION_FAILED");
    await client.query(REMEMBER, ["webhooks", null]);
    await client.query(await readSql("optional/webhooks.sql"));
    await client.query(await readSql("optional/webhook_callers.sql"));
  }

  const former = before.get("grants") ?? null;
  const callers = asked.grants === undefined ? former : callersOf(asked.grants);
  if (asked.grants !== undefined) await client.query(REMEMBER, ["grants", callers]);
  if (asked.grants !== undefined || former !== null) {
    const schemas: readonly OwnSchema[] = webhooks ? ["net", "supabase_functions"] : ["net"];
    const own = schemas.map((schema) => ownObjects(schema));
    const functions = own.flatMap((one) => one.functions).join(";");
    const tables = own.flatMap((one) => one.tables).join(";");
    const values = [callers ?? "", former === callers ? "" : (former ?? ""), schemas.join(";"), functions, tables];
    await client.query(TELL_CALLERS, values);
    await client.query(await readSql(callers === null ? "optional/grants_open.sql" : "optional/grants_restricted.sql"));
  }
  return asked.webhooks === true && foreign !== null ? [leftAlone(foreign)] : [];
}

/** The schemas in which there is something of ours. */
export async function ownSchemas(db: Queryable): Promise<readonly OwnSchema[]> {
  const isOwn = (await readParts(db)).has("webhooks") && (await foreignWebhooks(db)) === null;
  return isOwn ? ["net", "supabase_functions"] : ["net"];
}

/** After the rights to call were changed: who may attach webhooks, where there are any of ours. */
export async function restoreAttachers(client: pg.ClientBase): Promise<void> {
  if ((await ownSchemas(client)).includes("supabase_functions")) {
    await client.query(await readSql("optional/webhook_callers.sql"));
  }
}

async function readParts(db: Queryable): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await db.query<{ name: string; setting: string | null }>({ text: INSTALLED });
  return new Map(rows.map(({ name, setting }) => [name, setting]));
}

/** The owner of webhooks that are not ours; null without them. */
async function foreignWebhooks(db: Queryable): Promise<string | null> {
  return (await db.query<{ owner: string }>({ text: FOREIGN_WEBHOOKS })).rows[0]?.owner ?? null;
}

function leftAlone(owner: string): string {
  return `supabase_functions.http_request() of ${owner} is left as it is, with its table hooks: its requests are sent by pgnetd`;
}

function callersOf(grants: NonNullable<Parts["grants"]>): string | null {
  switch (grants.kind) {
    case "open":
      return null;
    case "restricted":
      return grants.callers;
  }
}
