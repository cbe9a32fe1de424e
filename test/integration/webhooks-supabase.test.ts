import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pgnetd } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";
import {
  startSupabase,
  SUPABASE_WEBHOOKS,
  type SupabaseDatabase,
  type SupabaseServer,
  webhookDialog,
} from "../support/supabase.ts";

let server: SupabaseServer;
beforeAll(async () => {
  server = await startSupabase();
  await pgnetd("", "extension", server.extensions.folder);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** An application's table, into which anybody may insert. */
async function createProfiles(db: SupabaseDatabase): Promise<void> {
  await db.as("postgres", "create table public.profiles (id int primary key); grant insert on public.profiles to anon");
}

const FUNCTION = `select p.oid, proowner::regrole::text as owner, prosecdef, prosrc, proacl::text
  from pg_proc p where p.oid = 'supabase_functions.http_request()'::regprocedure`;

describe.each(["postgres", "supabase_admin"] as const)("with Supabase's own webhooks, %s", (role) => {
  test("migrates with --webhooks, which leaves them as they are and says so, and they are sent", async () => {
    await using db = await server.database();
    await using receiver = await startReceiver();
    expect((await pgnetd(db.url(role), "migrate"))[0]).toMatch(/^schema installed/);
    await db.as("supabase_admin", SUPABASE_WEBHOOKS);
    await createProfiles(db);
    await db.as("postgres", webhookDialog(receiver.url("/hook")));
    await db.as(
      "supabase_admin",
      `insert into supabase_functions.hooks (hook_table_id, hook_name, created_at) values (1, 'of 2024', '2024-01-01')`,
    );
    const before = await db.as("supabase_admin", FUNCTION);

    for (const flags of [["--webhooks"], [], ["--webhooks", "--grants", "open"]]) {
      const lines = await pgnetd(db.url(role), "migrate", ...flags);
      const said =
        "supabase_functions.http_request() of supabase_functions_admin is left as it is, with its table hooks: ";
      expect(lines.filter((line) => line.startsWith(said))).toHaveLength(flags.includes("--webhooks") ? 1 : 0);
    }
    expect(await db.as("supabase_admin", FUNCTION)).toEqual(before);

    await using _daemon = await startInProcess(db.url(role));
    await db.as("anon", "insert into public.profiles values (1)");
    await receiver.waitFor(1);
    expect(JSON.parse(receiver.requests[0]?.body.toString() ?? "")).toMatchObject({
      type: "INSERT",
      record: { id: 1 },
    });
    await eventually(async () => (await db.as("supabase_admin", "select from net._http_response")).length === 1);
    expect(await db.as("supabase_admin", "select hook_name from supabase_functions.hooks order by id")).toEqual([
      { hook_name: "of 2024" },
      { hook_name: "my_webhook" },
    ]);
  });

  test("may restrict the grants: Supabase's own schema is not touched", async () => {
    await using db = await server.database();
    await pgnetd(db.url(role), "migrate");
    await db.as("supabase_admin", SUPABASE_WEBHOOKS);
    const before = await db.as("supabase_admin", FUNCTION);
    await pgnetd(
      db.url(role),
      "migrate",
      "--webhooks",
      "--grants",
      "restricted",
      "--callers",
      "supabase_functions_admin",
    );
    expect(await db.as("supabase_admin", FUNCTION)).toEqual(before);
    await createProfiles(db);
    await db.as("postgres", webhookDialog("http://127.0.0.1:9/"));
    await db.as("anon", "insert into public.profiles values (1)");
    await expect(db.as("anon", "select net.http_delete('http://127.0.0.1:9/')")).rejects.toMatchObject({
      code: "42501",
    });
  });
});

/** What is called by users: ours, and pg_net's whose names begin with an underscore. */
const CALLED = `p.pronamespace = 'net'::regnamespace and (p.proname !~ '^_' or p.proname in
  ('_http_collect_response', '_await_response', '_urlencode_string', '_encode_url_with_params_array'))`;

test("types and tables of a caller run nothing with the rights of the owner of functions made security definer, as Supabase makes them", async () => {
  await using db = await server.database();
  await pgnetd(db.url("postgres"), "migrate");
  await db.as("supabase_admin", SUPABASE_WEBHOOKS);
  await db.as(
    "postgres",
    `do $$ declare one regprocedure; begin
      for one in select p.oid from pg_proc p where ${CALLED} loop
        execute format('alter function %s security definer set search_path = net', one);
      end loop;
    end $$;
    insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts) values (1000, 'GET', 'http://h/', 1, now(), 1)`,
  );
  const queueing = [
    "http_get('http://h/', '{\"a\": 1}')",
    "http_post('http://h/', '{\"a\": 1}')",
    "http_delete('http://h/', body := '{}')",
    "http_put('http://h/', '{}')",
    "http_patch('http://h/', '{}')",
    "http_head('http://h/')",
    "http_request('POST', 'http://h/', body := '{}'::pg_catalog.jsonb, delay := '1 hour', max_attempts := 2)",
    "http_request('POST', 'http://h/', body := 'a'::pg_catalog.text, deduplication_key := 'k')",
    "http_request('POST', 'http://h/', body := 'a'::pg_catalog.bytea)",
    "http_replay(1000)",
  ];
  const others = [
    'form_urlencode(\'{"a": [1, "b c"]}\')',
    "_urlencode_string('a b')",
    "_encode_url_with_params_array('http://h/#a', '{b=c}')",
    "http_collect_response(1)",
    "_await_response(0)",
    "http_lane_status()",
    "wake()",
    "worker_restart()",
  ];
  for (const call of [...queueing, ...others]) {
    await db.as(
      "authenticated",
      `create function pg_temp.spy(anyelement) returns boolean language plpgsql as
        $$ begin raise exception 'ran as %', current_user; end $$;
      do $$ declare one pg_catalog.text; begin
        foreach one in array '{bytea,int8,jsonb,name,oid,regclass,timestamptz,xid,xid8,text}'::pg_catalog.text[] loop
          execute pg_catalog.format('create domain pg_temp.%1$I as pg_catalog.%1$I check (pg_temp.spy(value))', one);
        end loop;
      end $$;
      create temp view pg_attribute as select attrelid, attname, attnum from pg_catalog.pg_attribute where pg_temp.spy(1);
      create temp view pg_attrdef as select * from pg_catalog.pg_attrdef where pg_temp.spy(1);
      select net.${call}`,
    );
  }
  expect(await db.as("postgres", "select count(*)::int from net.http_request_queue")).toEqual([
    { count: queueing.length },
  ]);
});

describe("pgnetd's own webhooks", () => {
  test("send what a role inserts that may not call net.http_post, as Supabase's do", async () => {
    await using db = await server.database();
    await pgnetd(db.url("postgres"), "migrate", "--webhooks");
    await createProfiles(db);
    await db.as("postgres", webhookDialog("http://127.0.0.1:9/"));
    await db.as(
      "postgres",
      `revoke all on all functions in schema net from public; revoke all on all tables in schema net from public;
      revoke all on all tables in schema supabase_functions from public`,
    );
    await db.as("anon", "insert into public.profiles values (1)");
    expect(await db.as("postgres", "select hook_name from supabase_functions.hooks")).toEqual([
      { hook_name: "my_webhook" },
    ]);
    expect(await db.as("postgres", "select count(*)::int from net.http_request_queue")).toEqual([{ count: 1 }]);
    await expect(db.as("anon", "select net.http_post('http://127.0.0.1:9/')")).rejects.toMatchObject({ code: "42501" });
  });

  test("are attached by roles that may call net.http_post, and by no other", async () => {
    await using db = await server.database();
    await pgnetd(db.url("postgres"), "migrate", "--webhooks");
    const attach = (role: string): Promise<unknown> =>
      db.as(
        role,
        `create temp table mine (id int); create trigger hook after insert on mine for each row
        execute function supabase_functions.http_request('http://127.0.0.1:9/', 'POST')`,
      );
    await attach("anon");
    await db.as(
      "postgres",
      `revoke execute on function net.http_post(text, jsonb, jsonb, jsonb, integer) from public;
      grant execute on function net.http_post(text, jsonb, jsonb, jsonb, integer) to service_role`,
    );
    await pgnetd(db.url("postgres"), "migrate", "--webhooks");
    await expect(attach("anon")).rejects.toMatchObject({ code: "42501" });
    await attach("service_role");
    await attach("postgres");

    // That right stays, since somebody may have given it by itself.
    await db.as(
      "postgres",
      "revoke execute on function net.http_post(text, jsonb, jsonb, jsonb, integer) from service_role",
    );
    const named = async (): Promise<readonly string[]> =>
      (await pgnetd(db.url("postgres"), "migrate", "--webhooks")).filter((line) =>
        line.includes("may attach webhooks"),
      );
    const revoke = 'revoke execute on function supabase_functions.http_request() from "service_role";';
    expect(await named()).toEqual([
      `role service_role may attach webhooks, though it may not call net.http_post; to take that back: ${revoke}`,
    ]);
    await attach("service_role");
    await db.as("postgres", revoke);
    expect(await named()).toEqual([]);
    await expect(attach("service_role")).rejects.toMatchObject({ code: "42501" });
  });
});
