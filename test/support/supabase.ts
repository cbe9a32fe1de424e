import pg from "pg";
import { type ExtensionServer, startExtensionServer } from "./extension-server.ts";
import { openTestPool } from "./pool.ts";

/** A server with the roles of a self-hosted Supabase. */
export interface SupabaseServer extends AsyncDisposable {
  readonly extensions: ExtensionServer;
  /** A fresh database with its schema `extensions`. */
  database(): Promise<SupabaseDatabase>;
}

/** A database there, owned by the role `postgres`, which is no superuser. */
export interface SupabaseDatabase extends AsyncDisposable {
  /** Connection string of a role that may log in. */
  url(role: "supabase_admin" | "postgres"): string;
  /** Runs one statement as a role, and returns its rows. */
  as<Row extends pg.QueryResultRow = Record<string, unknown>>(role: string, text: string): Promise<Row[]>;
}

const PASSWORD = "secret";

/** The superuser is called supabase_admin there, and postgres is what customers get. */
const ROLES = `
  alter role postgres rename to supabase_admin;
  alter role supabase_admin password '${PASSWORD}';
  create role postgres login createrole createdb replication bypassrls password '${PASSWORD}';
  create role anon nologin noinherit; create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  create role supabase_functions_admin login noinherit createrole;
  create role authenticator login noinherit password '${PASSWORD}';
  grant anon, authenticated, service_role to authenticator;
  grant anon, authenticated, service_role, supabase_functions_admin to postgres`;

/** Starts a server and makes the roles. */
export async function startSupabase(): Promise<SupabaseServer> {
  await using stack = new AsyncDisposableStack();
  const extensions = stack.use(await startExtensionServer());
  const { port } = extensions.server;
  const urlOf = (role: string, database: string, password = PASSWORD): string =>
    `postgresql://${role}:${password}@127.0.0.1:${port}/${database}`;
  // Nobody renames the role that it is logged in as.
  await statement(extensions.server.url(), "create role renamer superuser login password 'renamer'");
  await statement(urlOf("renamer", "template1", "renamer"), ROLES);
  const owned = stack.move();
  let count = 0;
  return {
    extensions,
    async database() {
      count += 1;
      const name = `supabase_${count}`;
      await statement(
        urlOf("supabase_admin", "template1"),
        `create database ${name} owner postgres template template0`,
      );
      await statement(
        urlOf("supabase_admin", name),
        "create schema extensions authorization postgres; grant usage on schema extensions to public",
      );
      const pool = openTestPool({ connectionString: urlOf("supabase_admin", name), max: 3 });
      return {
        url: (role) => urlOf(role, name),
        async as<Row extends pg.QueryResultRow>(role: string, text: string) {
          const client = await pool.connect();
          try {
            await client.query(`set session authorization ${role}`);
            const result = (await client.query<Row>(text)) as pg.QueryResult<Row> | pg.QueryResult<Row>[];
            return (Array.isArray(result) ? result.at(-1) : result)?.rows ?? [];
          } finally {
            client.release(true);
          }
        },
        [Symbol.asyncDispose]: () => pool.end(),
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * What Supabase makes for its database webhooks, run by its superuser: the event trigger that grants rights on pg_net, the
 * extension, and a schema of its own with the trigger function.
 */
export const SUPABASE_WEBHOOKS = `
  create function extensions.grant_pg_net_access() returns event_trigger language plpgsql as $$
  begin
    if not exists (
      select from pg_event_trigger_ddl_commands() c join pg_extension e on e.oid = c.objid where e.extname = 'pg_net'
    ) then
      return;
    end if;
    grant usage on schema net to supabase_functions_admin, postgres, anon, authenticated, service_role;
    alter function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer) security definer;
    alter function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) security definer;
    alter function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer) set search_path = net;
    alter function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) set search_path = net;
    revoke all on function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer) from public;
    revoke all on function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) from public;
    grant execute on function net.http_get(url text, params jsonb, headers jsonb, timeout_milliseconds integer)
      to supabase_functions_admin, postgres, anon, authenticated, service_role;
    grant execute on function net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer)
      to supabase_functions_admin, postgres, anon, authenticated, service_role;
  end $$;
  create event trigger issue_pg_net_access on ddl_command_end when tag in ('CREATE EXTENSION')
    execute function extensions.grant_pg_net_access();

  create extension if not exists pg_net schema extensions;

  create schema supabase_functions authorization supabase_admin;
  grant usage on schema supabase_functions to postgres, anon, authenticated, service_role;
  create table supabase_functions.migrations (version text primary key, inserted_at timestamptz not null default now());
  create table supabase_functions.hooks (
    id bigserial primary key,
    hook_table_id integer not null,
    hook_name text not null,
    created_at timestamptz not null default now(),
    request_id bigint
  );
  create function supabase_functions.http_request() returns trigger language plpgsql as $$
  declare
    request_id bigint;
    headers jsonb := coalesce(nullif(tg_argv[2], 'null'), '{"Content-Type": "application/json"}');
    params jsonb := coalesce(nullif(tg_argv[3], 'null'), '{}');
    timeout_ms integer := coalesce(nullif(tg_argv[4], 'null'), '1000');
  begin
    if tg_argv[1] = 'GET' then
      select http_get into request_id from net.http_get(tg_argv[0], params, headers, timeout_ms);
    else
      select http_post into request_id from net.http_post(tg_argv[0], jsonb_build_object(
        'old_record', old, 'record', new, 'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema
      ), params, headers, timeout_ms);
    end if;
    insert into supabase_functions.hooks (hook_table_id, hook_name, request_id) values (tg_relid, tg_name, request_id);
    return new;
  end $$;
  alter function supabase_functions.http_request() security definer;
  alter function supabase_functions.http_request() set search_path = supabase_functions;
  revoke all on function supabase_functions.http_request() from public;
  grant execute on function supabase_functions.http_request() to postgres, anon, authenticated, service_role;
  grant all on schema supabase_functions to supabase_functions_admin;
  grant all on all tables in schema supabase_functions to supabase_functions_admin, postgres, anon, authenticated, service_role;
  grant all on all sequences in schema supabase_functions to supabase_functions_admin, postgres, anon, authenticated, service_role;
  alter table supabase_functions.migrations owner to supabase_functions_admin;
  alter table supabase_functions.hooks owner to supabase_functions_admin;
  alter function supabase_functions.http_request() owner to supabase_functions_admin`;

/**
 * What is in every database of the platform before its owner comes, run by its superuser: PostgREST's event triggers, the
 * publication of Realtime, and the rights that new things in `public` begin with.
 */
export const SUPABASE_PLATFORM = `
  create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
  declare
    command record;
  begin
    for command in select * from pg_event_trigger_ddl_commands() loop
      if command.command_tag in ('CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'ALTER TABLE', 'CREATE VIEW',
          'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE TRIGGER', 'CREATE TYPE', 'CREATE RULE', 'COMMENT')
        and command.schema_name is distinct from 'pg_temp' then
        notify pgrst, 'reload schema';
      end if;
    end loop;
  end $$;
  create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
  create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
  declare
    dropped record;
  begin
    for dropped in select * from pg_event_trigger_dropped_objects() loop
      if dropped.object_type in ('schema', 'table', 'view', 'function', 'trigger', 'type') and not dropped.is_temporary then
        notify pgrst, 'reload schema';
      end if;
    end loop;
  end $$;
  create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
  create publication supabase_realtime;
  alter publication supabase_realtime owner to postgres;
  alter default privileges for role supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
  alter default privileges for role postgres in schema public grant all on tables to postgres, anon, authenticated, service_role;
  alter default privileges for role postgres in schema public grant all on functions to postgres, anon, authenticated, service_role;
  grant usage on schema public to anon, authenticated, service_role`;

/** What the dialog for a new webhook writes, with `url` in it. */
export function webhookDialog(url: string): string {
  return `create trigger "my_webhook" after insert on "public"."profiles" for each row
    execute function "supabase_functions"."http_request"('${url}', 'POST', '{"Content-Type":"application/json"}', '{}', '1000')`;
}

async function statement(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
