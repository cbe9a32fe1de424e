import pg from "pg";

/** What an operator may have given a function of schema `net`, with `alter function`; `create or replace function` takes it away. */
interface FunctionAttributes {
  readonly oid: number;
  /** With its argument types, quoted where need be. */
  readonly name: string;
  readonly definer: boolean;
  /** Each as `name=value`. */
  readonly settings: readonly string[];
}

const SELECT_ATTRIBUTES = `
select p.oid, p.oid::regprocedure::text as name, p.prosecdef as definer, coalesce(p.proconfig, '{}')::text[] as settings
from pg_catalog.pg_proc p where p.pronamespace = 'net'::regnamespace and p.prokind = 'f'`;

const SET = "select pg_catalog.current_setting($1, true) as before, pg_catalog.set_config($1, $2, true)";

/** Runs `replace`, which may replace functions of schema `net`, and gives back to those what they had. */
export async function keepAttributes(client: pg.ClientBase, replace: () => Promise<unknown>): Promise<void> {
  const before = await attributes(client);
  await replace();
  const after = new Map((await attributes(client)).map((one) => [one.oid, one]));
  for (const { oid, name, definer, settings } of before) {
    const now = after.get(oid);
    if (now === undefined) continue;
    if (definer && !now.definer) await client.query(`alter function ${name} security definer`);
    for (const setting of settings) if (!now.settings.includes(setting)) await give(client, name, setting);
  }
}

async function attributes(client: pg.ClientBase): Promise<readonly FunctionAttributes[]> {
  return (await client.query<FunctionAttributes>(SELECT_ATTRIBUTES)).rows;
}

/** From the session, since a value may be a list. */
async function give(client: pg.ClientBase, name: string, given: string): Promise<void> {
  const [, setting = "", value = ""] = /^(.*?)=(.*)$/s.exec(given) ?? [];
  const { rows } = await client.query<{ before: string | null }>(SET, [setting, value]);
  await client.query(`alter function ${name} set ${pg.escapeIdentifier(setting)} from current`);
  await client.query(SET, [setting, rows[0]?.before ?? ""]);
}
