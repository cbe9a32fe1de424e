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

test("after Supabase made the functions security definer, types of a caller run nothing with the rights of their owner", async () => {
  await using db = await server.database();
  await pgnetd(db.url("postgres"), "migrate");
  await db.as("supabase_admin", SUPABASE_WEBHOOKS);
  await db.as(
    "postgres",
    "alter function net.http_delete(text, jsonb, jsonb, integer, jsonb) security definer set search_path = net",
  );
  for (const call of [
    "http_get('http://h/', '{\"a\": 1}')",
    "http_post('http://h/', '{\"a\": 1}')",
    "http_delete('http://h/', body := '{}')",
  ]) {
    await db.as(
      "authenticated",
      `create function pg_temp.spy(anyelement) returns boolean language plpgsql as
        $$ begin raise exception 'ran as %', current_user; end $$;
      create domain pg_temp.text as pg_catalog.text check (pg_temp.spy(value));
      create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.spy(value));
      create domain pg_temp.int8 as pg_catalog.int8 check (pg_temp.spy(value));
      select net.${call}`,
    );
  }
  expect(await db.as("postgres", "select count(*)::int from net.http_request_queue")).toEqual([{ count: 3 }]);
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
  });
});
