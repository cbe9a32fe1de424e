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
  pg_catalog.set_config('pgnetd.former_callers', $2, true)`;

/** Applies the parts asked for now or before, inside the caller's transaction. Grants come last: they cover the rest. */
export async function applyParts(client: pg.ClientBase, asked: Parts): Promise<void> {
  const { rows } = await client.query<{ name: string; setting: string | null }>(INSTALLED);
  const before = new Map(rows.map((row) => [row.name, row.setting]));
  if (asked.webhooks === true) await client.query(REMEMBER, ["webhooks", null]);
  if (asked.webhooks === true || before.has("webhooks")) await client.query(await readSql("optional/webhooks.sql"));

  const former = before.get("grants") ?? null;
  const callers = asked.grants === undefined ? former : callersOf(asked.grants);
  if (asked.grants !== undefined) await client.query(REMEMBER, ["grants", callers]);
  if (callers !== null || former !== null) {
    await client.query(TELL_CALLERS, [callers ?? "", former === callers ? "" : (former ?? "")]);
    await client.query(await readSql(callers === null ? "optional/grants_open.sql" : "optional/grants_restricted.sql"));
  }
}

function callersOf(grants: NonNullable<Parts["grants"]>): string | null {
  switch (grants.kind) {
    case "open":
      return null;
    case "restricted":
      return grants.callers;
  }
}
