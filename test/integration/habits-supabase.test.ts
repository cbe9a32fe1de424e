import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { pgnetd } from "../support/command.ts";
import { eventually } from "../support/eventually.ts";
import { installPgNet } from "../support/extension-server.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import {
  startSupabase,
  SUPABASE_PLATFORM,
  SUPABASE_WEBHOOKS,
  type SupabaseDatabase,
  type SupabaseServer,
  webhookDialog,
} from "../support/supabase.ts";

// A self-hosted Supabase: its roles, event triggers, schemas and publication, with pgnetd where pg_net was.

let server: SupabaseServer;
beforeAll(async () => {
  server = await startSupabase();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await removePgNet();
  await pgnetd("", "extension", server.extensions.folder);
});

async function removePgNet(): Promise<void> {
  const { folder } = server.extensions;
  for (const name of await readdir(folder)) if (name.startsWith("pg_net")) await rm(join(folder, name));
}

/** A project's table, with row level security, as the dashboard makes it. */
async function createProfiles(db: SupabaseDatabase): Promise<void> {
  await db.as(
    "postgres",
    `create table public.profiles (id int primary key, name text);
    alter table public.profiles enable row level security;
    create policy "anybody may insert" on public.profiles for insert to anon, authenticated with check (true);
    alter publication supabase_realtime add table public.profiles`,
  );
}

/** A row that the API inserts for a visitor arrives at the webhook, and the platform has its records of it. */
async function expectWebhook(db: SupabaseDatabase, receiver: Receiver, id: number): Promise<void> {
  await db.as("authenticator", `set role anon; insert into public.profiles values (${id}, 'Ann')`);
  const sent = await eventually(() =>
    receiver.requests.find(({ body }) => (JSON.parse(body.toString()) as { record: { id: number } }).record.id === id),
  );
  expect(JSON.parse(sent.body.toString())).toEqual({
    type: "INSERT",
    table: "profiles",
    schema: "public",
    record: { id, name: "Ann" },
    old_record: null,
  });
  const [hook] = await db.as<{ request_id: string }>(
    "supabase_admin",
    "select hook_name, hook_table_id::regclass::text as of, request_id from supabase_functions.hooks order by id desc limit 1",
  );
  expect(hook).toMatchObject({ hook_name: "my_webhook", of: "profiles" });
  await eventually(
    async () =>
      (await db.as("supabase_admin", `select from net._http_response where id = ${hook?.request_id}`)).length === 1,
  );
}

describe.each(["postgres", "supabase_admin"] as const)("a new self-hosted Supabase, %s migrates", (role) => {
  test("before the platform's own SQL: then this and the webhook dialog's work as they stand", async () => {
    await using db = await server.database();
    await using receiver = await startReceiver();
    await db.as("supabase_admin", SUPABASE_PLATFORM);
    await pgnetd(db.url(role), "migrate");
    await db.as("supabase_admin", SUPABASE_WEBHOOKS);
    await createProfiles(db);
    await using _daemon = await startInProcess(db.url(role));
    await db.as("postgres", webhookDialog(receiver.url("/functions/v1/hook")));
    await expectWebhook(db, receiver, 1);
    expect(
      await db.as("postgres", "select tablename from pg_publication_tables where pubname = 'supabase_realtime'"),
    ).toEqual([{ tablename: "profiles" }]);
    // What the dashboard's switches for the extension and for webhooks run.
    await db.as(
      "supabase_admin",
      "drop extension pg_net cascade; create extension if not exists pg_net schema extensions",
    );
    await expectWebhook(db, receiver, 2);
    for (const name of ["anon", "authenticated", "service_role", "postgres"]) {
      await db.as(name, `select net.http_get('${receiver.url("/of-a-role")}')`);
    }
    await eventually(() => receiver.countByPath().get("/of-a-role") === 4);
  });
});

test("after the platform's own SQL, the schema's owner hears from create extension what comes first", async () => {
  await using db = await server.database();
  await db.as("supabase_admin", SUPABASE_PLATFORM);
  await expect(db.as("supabase_admin", SUPABASE_WEBHOOKS)).rejects.toMatchObject({
    message: 'schema "net" does not exist',
  });
  await pgnetd(db.url("postgres"), "migrate");
  await db.as("supabase_admin", SUPABASE_WEBHOOKS);
  await db.as("postgres", "select net.http_get('http://127.0.0.1:9/')");
});

/** Both ways to move over: the command, and by hand, where the customer's role may own the schema. */
const MOVES = [
  {
    name: "by command",
    role: "supabase_admin",
    move: (db: SupabaseDatabase) => pgnetd(db.url("supabase_admin"), "migrate", "--from-pg-net", "--yes"),
  },
  {
    name: "by hand",
    role: "postgres",
    move: async (db: SupabaseDatabase) => {
      await db.as("supabase_admin", "drop extension pg_net; drop schema if exists net");
      await pgnetd(db.url("postgres"), "migrate");
    },
  },
] as const;

test.for(MOVES)("a Supabase with pg_net moves over $name, and its webhooks go on without a change", async (way) => {
  await using db = await server.database();
  await using receiver = await startReceiver();
  await removePgNet();
  await installPgNet(server.extensions.folder);
  await db.as("supabase_admin", SUPABASE_PLATFORM);
  await db.as("supabase_admin", SUPABASE_WEBHOOKS);
  await createProfiles(db);
  await db.as("postgres", webhookDialog(receiver.url("/hook")));
  await way.move(db);
  await removePgNet();
  await pgnetd("", "extension", server.extensions.folder);
  await db.as("supabase_admin", "create extension if not exists pg_net with schema extensions");
  await using _daemon = await startInProcess(db.url(way.role));
  await expectWebhook(db, receiver, 1);
});

test("PostgREST's event triggers hear of what is installed and removed, and stop neither", async () => {
  await using db = await server.database();
  await db.as("supabase_admin", SUPABASE_PLATFORM);
  const listener = new pg.Client({ connectionString: db.url("supabase_admin") });
  let heard = 0;
  listener.on("notification", ({ payload }) => (heard += payload === "reload schema" ? 1 : 0));
  await listener.connect();
  try {
    await listener.query("listen pgrst");
    await pgnetd(db.url("postgres"), "migrate", "--webhooks");
    await eventually(() => heard > 0);
    heard = 0;
    expect(await pgnetd(db.url("postgres"), "uninstall", "--yes")).toContain("schema net is dropped");
    await eventually(() => heard > 0);
  } finally {
    await listener.end();
  }
});
