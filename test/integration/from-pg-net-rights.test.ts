import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { pgnetd } from "../support/command.ts";
import {
  createRoles,
  type ExtensionDatabase,
  type ExtensionServer,
  startPgNetServer,
} from "../support/extension-server.ts";

// Who may do what before a move from pg_net, and after it.

const READER = `reader_${randomUUID().slice(0, 8)}`;
const CALLERS = `callers_${randomUUID().slice(0, 8)}`;

let server: ExtensionServer;
beforeAll(async () => {
  server = await startPgNetServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

let db: ExtensionDatabase;
beforeEach(async () => {
  db = await server.database();
  await db.query("create extension pg_net");
  await createRoles(db, READER, CALLERS);
  return () => db[Symbol.asyncDispose]();
});

async function move(...flags: readonly string[]): Promise<readonly string[]> {
  return pgnetd(db.url, "migrate", "--from-pg-net", "--yes", ...flags);
}

/** Runs `text` as a role without any right of its own. */
async function asReader(text: string): Promise<readonly unknown[]> {
  const client = await db.pool.connect();
  try {
    await client.query(`set role ${READER}`);
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    client.release(true);
  }
}

/** Which of `rights` a role has on a table of net. */
async function rightsOf(role: string, table: string, rights: readonly string[]): Promise<readonly string[]> {
  const rows = await db.query<{ may: string }>(
    `select r as may from unnest($3::text[]) as r
    where has_table_privilege($1, $2, r) or r = 'references' and has_any_column_privilege($1, $2, 'references')`,
    [role, `net.${table}`, rights],
  );
  return rows.map(({ may }) => may);
}

test("no role is given TRIGGER or REFERENCES, with which it could run code as the daemon", async () => {
  await db.query(`grant all on all tables in schema net to ${READER};
    revoke all on net._http_response from ${READER}; grant select, references (id) on net._http_response to ${READER}`);
  const lines = await move();
  const note = `role ${READER} had REFERENCES, TRIGGER on net._http_response, net.http_request_queue, with which it could run code as the daemon here: that is left out`;
  expect(lines).toContain(note);
  const asked = ["select", "insert", "update", "delete", "truncate", "references", "trigger"];
  expect(await rightsOf(READER, "http_request_queue", asked)).toEqual(asked.slice(0, 5));
  expect(await rightsOf(READER, "_http_response", ["select", "references", "trigger"])).toEqual(["select"]);
});

test("nor by what --dry-run prints, which notes it", async () => {
  await db.query(`grant all on net.http_request_queue to ${READER}`);
  const lines = await pgnetd(db.url, "migrate", "--from-pg-net", "--dry-run");
  expect(lines.filter((line) => /^grant (trigger|references)/.test(line))).toEqual([]);
  expect(lines.at(-1)).toBe(
    `-- note: role ${READER} had REFERENCES, TRIGGER on net.http_request_queue, with which it could run code as the daemon here: that is left out`,
  );
});

test.each([
  ["role", [], READER],
  ["role", ["--webhooks"], READER],
  ["role", ["--owner", "maker"], READER],
  ["every role", [], "public"],
])("nor by default privileges, which give them to %s on new tables (%j)", async (who, flags, grantee) => {
  await createRoles(db, "maker");
  await db.query(`grant create on database ${db.name} to maker;
    alter default privileges grant all on tables to ${grantee};
    alter default privileges for role maker grant all on tables to ${grantee}`);
  const lines = await move(...flags);
  const name = who === "role" ? `role ${grantee}` : who;
  expect(lines).toContainEqual(
    expect.stringMatching(
      `^default privileges gave ${name} REFERENCES, TRIGGER on .*net\\.http_request_queue, .* as the daemon: that is taken back$`,
    ),
  );
  const tables = await db.query<{ name: string }>(`select oid::regclass::text as name from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text in ('net', 'supabase_functions')`);
  expect(tables.length).toBeGreaterThan(8);
  for (const table of tables) {
    const held = await db.query(
      `select privilege_type from aclexplode((select relacl from pg_class where oid = $1::regclass)) as a
      where privilege_type in ('TRIGGER', 'REFERENCES') and case $2 when 'public' then a.grantee = 0 else a.grantee = to_regrole($2) end
        -- What has no key, no foreign key can refer to.
        and not (a.grantee = 0 and privilege_type = 'REFERENCES' and not exists (
          select from pg_constraint where conrelid = $1::regclass and contype in ('p', 'u')))`,
      [table.name, grantee],
    );
    expect({ table, held }).toEqual({ table, held: [] });
  }
  expect(await rightsOf(grantee, "http_request_queue", ["select", "insert", "delete"])).toHaveLength(3);
});

test("who might not call pg_net may not attach webhooks either", async () => {
  await db.query(
    `revoke execute on function net.http_post from public; grant execute on function net.http_post to ${READER}`,
  );
  await move("--webhooks");
  const may = async (role: string): Promise<unknown> =>
    db.query("select has_function_privilege($1, 'supabase_functions.http_request()', 'execute') as may", [role]);
  expect(await may("public")).toEqual([{ may: false }]);
  expect(await may(READER)).toEqual([{ may: true }]);
});

test("a right that two roles gave is kept", async () => {
  await createRoles(db, "giver");
  await db.query(`grant usage on schema net to giver with grant option; grant select on net._http_response to giver with grant option;
    set role giver; grant usage on schema net to ${READER}; grant select on net._http_response to ${READER}; reset role;
    grant usage on schema net to ${READER}; grant select on net._http_response to ${READER};
    revoke all on schema net from public; revoke select on net._http_response from public`);
  await move();
  expect(await rightsOf(READER, "_http_response", ["select"])).toEqual(["select"]);
  await asReader("select from net._http_response");
});

describe("answers that pg_net did not show to every role", () => {
  const HIDDEN = [
    ["revoke all on net._http_response from public", "net._http_response"],
    ["revoke select on net._http_response from public", "net._http_response"],
    [
      `revoke select on net._http_response from public; grant select (id) on net._http_response to public`,
      "net._http_response",
    ],
    ["alter table net._http_response enable row level security", "net._http_response"],
    ["revoke all on all tables in schema net from public", "net._http_response and net.http_request_queue"],
    ["alter table net.http_request_queue enable row level security", "net.http_request_queue"],
  ] as const;

  /** What else tells of requests and answers. */
  const OUTCOMES = ["http_response_detail", "http_dead_letter", "http_lane_activity"] as const;

  async function shown(): Promise<readonly string[]> {
    const rows = await db.query<{ name: string }>(
      "select name from unnest($1::text[]) as name where has_any_column_privilege('public', 'net.' || name, 'select')",
      [OUTCOMES],
    );
    return rows.map(({ name }) => name);
  }

  test.for(HIDDEN)("are not shown to it by what else pgnetd has of them: %s", async ([sql, tables]) => {
    await db.query(sql);
    expect(await move()).toContain(
      `not every role could read all of ${tables}, so none but their owner may read net.http_response_detail, net.http_dead_letter and net.http_lane_activity, which have more of the same, nor call net.http_lane_status(): docs/from-pg_net.md, Rights, says how to open them to some`,
    );
    expect(await shown()).toEqual([]);
    await pgnetd(db.url, "migrate", "--webhooks");
    expect(await shown()).toEqual([]);
    if (tables === "net._http_response") await asReader("select net.http_get('https://example.com/')");
  });

  test.for(["http_request_queue", "_http_response"])(
    "stay hidden under --grants open where row security on %s does it, until it is on the rest, too",
    async (table) => {
      await db.query(`alter table net.${table} enable row level security`);
      await move();
      await pgnetd(db.url, "migrate", "--grants", "open");
      expect(await shown()).toEqual([]);
      for (const one of OUTCOMES) await db.query(`alter table net.${one} enable row level security`);
      await pgnetd(db.url, "migrate", "--grants", "open");
      expect(await shown()).toEqual(OUTCOMES);
      await expect(asReader("select url from net.http_dead_letter")).rejects.toMatchObject({ code: "42501" });
    },
  );

  test("are collected by whom row security shows them to, by id; dead letters are not", async () => {
    await db.query("alter table net._http_response enable row level security");
    await move();
    await db.query(`
      insert into net._http_response (id, status_code, created) select n, 200 + n, now() from generate_series(1, 2) n;
      insert into net.http_response_detail (id, method, url, attempts, enqueued, created)
        select n, 'GET', 'https://example.com/', 1, now(), now() from generate_series(1, 2) n;
      insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, error_msg)
        values (3, 'GET', 'https://example.com/', 1, now(), 1, 'secret');
      create policy of_one on net._http_response for select using (status_code = 201);
      alter table net.http_response_detail enable row level security;
      create policy of_answers on net.http_response_detail for select
        using (exists (select from net._http_response r where r.id = http_response_detail.id and r.created = http_response_detail.created))`);
    const collected = `select id::int, (net.http_collect_response(id)).status::text from generate_series(1, 3) as id`;
    expect(await asReader(collected)).toEqual([
      { id: 1, status: "SUCCESS" },
      { id: 2, status: "ERROR" },
      { id: 3, status: "ERROR" },
    ]);
    expect(await asReader("select (net.http_collect_response(3)).message")).toEqual([
      { message: "request matching request_id not found" },
    ]);
    await pgnetd(db.url, "migrate", "--grants", "open");
    expect(await asReader("select id from net.http_response_detail")).toEqual([{ id: "1" }]);
  });

  test("are all that is hidden: elsewhere every role reads the details, as it reads the answers", async () => {
    expect((await move()).filter((line) => line.includes("http_response_detail"))).toEqual([]);
    expect(await shown()).toEqual(OUTCOMES);
    await asReader("select net.http_lane_status()");
  });
});

describe("with --grants restricted, roles with rights of their own are named, with what takes these back", () => {
  const GET = "net.http_get(text,jsonb,jsonb,integer)";
  const RESTRICTED = ["--grants", "restricted", "--callers", CALLERS] as const;

  /** The statements of the notes about other roles. */
  function revokes(lines: readonly string[]): readonly string[] {
    return lines
      .filter((line) => line.startsWith("grants are restricted to"))
      .map((line) => line.replace(/^.*?: /, ""));
  }

  test("by the move, and by each migrate that asks for it, until they are taken back", async () => {
    await db.query(`grant usage on schema net to ${READER}; grant execute on function net.http_get to ${READER} with grant option;
      grant select on net._http_response to ${READER}; grant select (id) on net.http_request_queue to ${READER}`);
    const expected = [
      `revoke all on schema net from "${READER}"; revoke all on function ${GET} from "${READER}" cascade; revoke all on table net._http_response, net.http_request_queue from "${READER}";`,
    ];
    const moved = await move(...RESTRICTED);
    expect(revokes(moved)).toEqual(expected);
    expect(moved).toContainEqual(
      expect.stringMatching(`^grants are restricted to ${CALLERS}, but role ${READER} has rights that somebody gave; `),
    );
    expect(revokes(await pgnetd(db.url, "migrate", ...RESTRICTED))).toEqual(expected);
    await asReader("select net.http_get('https://example.com/')");
    for (const statement of expected) await db.query(statement);
    expect(revokes(await pgnetd(db.url, "migrate", ...RESTRICTED))).toEqual([]);
    await expect(asReader("select net.http_get('https://example.com/')")).rejects.toMatchObject({ code: "42501" });
  });

  test("also rights to attach webhooks, which whoever may call is given", async () => {
    await db.query(`grant usage on schema net to ${READER}; grant execute on function net.http_post to ${READER}`);
    const expected = [
      `revoke all on schema net from "${READER}"; revoke all on function net.http_post(text,jsonb,jsonb,jsonb,integer), supabase_functions.http_request() from "${READER}";`,
    ];
    expect(revokes(await move(...RESTRICTED, "--webhooks"))).toEqual(expected);
    await db.query(`grant usage on schema supabase_functions to ${READER}; grant select on supabase_functions.hooks to ${READER};
      grant usage on sequence supabase_functions.hooks_id_seq to ${READER}`);
    const [statements = ""] = revokes(await pgnetd(db.url, "migrate", ...RESTRICTED));
    for (const on of [
      "schema net, supabase_functions",
      "sequence supabase_functions.hooks_id_seq",
      "table supabase_functions.hooks",
    ])
      expect(statements).toContain(`revoke all on ${on} from "${READER}";`);
    await db.query(statements);
    expect(revokes(await pgnetd(db.url, "migrate", ...RESTRICTED))).toEqual([]);
  });

  test("where every role has one, too", async () => {
    await db.query("grant select (id) on net._http_response to public");
    const moved = await move(...RESTRICTED);
    expect(revokes(moved)).toEqual(["revoke all on table net._http_response from public;"]);
    expect(moved).toContainEqual(expect.stringContaining("but every role has rights that somebody gave"));
    expect(revokes(await pgnetd(db.url, "migrate", ...RESTRICTED))).toEqual([]);
  });

  test("but not superusers, members of the owner, and the daemon's role", async () => {
    const names = ["boss", "member", "streamer"].map((name) => `${name}_${READER}`);
    const [boss, member, streamer] = names;
    await db.query(`create role ${boss} superuser; create role ${member}; create role ${streamer} replication;
      create role owner_${READER} login password 'x'; grant owner_${READER} to ${member};
      do $$ begin execute format('grant create on database %I to owner_${READER}', current_database()); end $$`);
    await move(...RESTRICTED, "--owner", `owner_${READER}`);
    const url = new URL(db.url);
    url.username = `owner_${READER}`;
    url.password = "x";
    await db.query(
      `grant usage on schema net to ${names.join(", ")}; grant all on all tables in schema net to ${names.join(", ")}`,
    );
    expect(revokes(await pgnetd(url.href, "migrate", ...RESTRICTED))).toEqual([]);
    await db.query(`alter role ${streamer} noreplication`);
    expect(revokes(await pgnetd(url.href, "migrate", ...RESTRICTED))).toHaveLength(1);
  });
});
