import type pg from "pg";
import { readSql } from "./migrations.ts";

/** Optional parts of an installation; a part that was asked for once is kept up to date from then on. */
export interface Parts {
  /** True installs the trigger function `supabase_functions.http_request()` and its table. */
  readonly webhooks?: boolean | undefined;
  /** Who may call: every role, as with pg_net and as installed, or one role alone, without any right on the tables. */
  readonly grants?: { readonly kind: "open" } | { readonly kind: "restricted"; readonly callers: string } | undefined;
}

const INSTALLED = "select name, setting from net.pgnetd_parts";

const REMEMBER = `insert into net.pgnetd_parts (name, setting) values ($1, $2)
on conflict (name) do update set setting = excluded.setting`;

const TELL_CALLERS = `select pg_catalog.set_config('pgnetd.callers', $1, true),
  pg_catalog.set_config('pgnetd.former_callers', $2, true), pg_catalog.set_config('pgnetd.schemas', $3, true)`;

/** A trigger function that is not ours, such as Supabase's own: ours comes with helpers, and belongs to us. */
const FOREIGN_WEBHOOKS = `
select pg_catalog.pg_get_userbyid(p.proowner)::text as owner from pg_catalog.pg_proc p
where p.oid = pg_catalog.to_regprocedure('supabase_functions.http_request()') and not (
  pg_catalog.pg_has_role(p.proowner, 'usage')
  and pg_catalog.to_regprocedure('supabase_functions._send(oid, text, jsonb, text[])') is not null
)`;

/**
 * Applies the parts asked for now or before, inside the caller's transaction, and returns what was asked for and left out, in
 * words. Grants come last: they cover the rest.
 */
export async function applyParts(client: pg.ClientBase, asked: Parts): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string; setting: string | null }>(INSTALLED);
  const before = new Map(rows.map((row) => [row.name, row.setting]));
  const foreign = (await client.query<{ owner: string }>(FOREIGN_WEBHOOKS)).rows[0]?.owner ?? null;
  const webhooks = foreign === null && (asked.webhooks === true || before.has("webhooks"));
  if (webhooks) {
    await client.query(REMEMBER, ["webhooks", null]);
    await client.query(await readSql("optional/webhooks.sql"));
  }

  const former = before.get("grants") ?? null;
  const callers = asked.grants === undefined ? former : callersOf(asked.grants);
  if (asked.grants !== undefined) await client.query(REMEMBER, ["grants", callers]);
  if (callers !== null || former !== null) {
    const schemas = webhooks ? "net,supabase_functions" : "net";
    await client.query(TELL_CALLERS, [callers ?? "", former === callers ? "" : (former ?? ""), schemas]);
    await client.query(await readSql(callers === null ? "optional/grants_open.sql" : "optional/grants_restricted.sql"));
  }
  return asked.webhooks === true && foreign !== null ? [leftAlone(foreign)] : [];
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
