import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { ownObjects } from "../../src/pg/own-objects.ts";
import { openPool } from "../../src/pg/pool.ts";
import { expireResults } from "../../src/results/retention.ts";
import { systemClock } from "../../src/base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

/** A role with CREATE on the databases of this file, and nothing else. */
const MALLORY = `mallory_${randomUUID().slice(0, 8)}`;
/** A role that may install pgnetd and run it, and is no superuser. */
const OWNER = `owner_${randomUUID().slice(0, 8)}`;
const PASSWORD = "secret";

let first: TestDatabase;
beforeAll(async () => {
  first = await testDatabase();
  for (const role of [MALLORY, OWNER])
    await first.query(`create role ${role} login replication password '${PASSWORD}'`);
  await first.query(`alter role ${MALLORY} noreplication`);
});
afterAll(async () => {
  await first.query(`drop role ${MALLORY}, ${OWNER}`);
  await first[Symbol.asyncDispose]();
});

function as(role: string, db: TestDatabase): string {
  const url = new URL(db.url);
  url.username = role;
  url.password = PASSWORD;
  return url.href;
}

/** A database in which both may create. */
async function shared(options: { readonly migrated?: boolean } = {}): Promise<TestDatabase> {
  const db = await testDatabase(options);
  await db.query(`grant create on database ${db.name} to ${MALLORY}, ${OWNER}`);
  return db;
}

async function run(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

async function command(url: string, ...argv: string[]): Promise<void> {
  const context = { env: { DATABASE_URL: url }, print: () => undefined };
  return runProgram(argv, { ...context, stop: AbortSignal.timeout(60_000) });
}

/** A function that says who ran it, and what is left of it whatever becomes of the transaction. */
const TRAP = `
  create schema trap; grant all on schema trap to public;
  create table trap.ran (who text); create sequence trap.runs;
  grant all on all tables in schema trap to public; grant all on all sequences in schema trap to public;
  create function trap.spring() returns boolean language plpgsql set search_path = pg_catalog as $$
  begin perform nextval('trap.runs'); insert into trap.ran values (current_user); return true; end $$;
  create function trap.fire() returns trigger language plpgsql as 'begin perform trap.spring(); return coalesce(new, old); end'`;

async function ran(db: TestDatabase): Promise<unknown> {
  const [row] = await db.query<{ called: boolean }>("select is_called as called from trap.runs");
  return row?.called === true ? db.query("select distinct who from trap.ran") : [];
}

/** Views that run the trap, in the place of the tables that probes, scrapes and the page read. */
const TRAPPED = [
  "http_request_queue",
  "http_dead_letter",
  "http_response_detail",
  "_http_response",
  "http_host_settings",
]
  .map((table) => `create view net.${table} as select * from kept.${table} where trap.spring()`)
  .join("; ");

/** What shows a daemon to whoever asks; resolves when everything has been asked for. */
async function lookAt(daemon: Daemon): Promise<string> {
  await fetch(`${daemon.address}/metrics`).then((response) => response.text());
  const events = await fetch(`${daemon.address}/page/events`);
  let seen = "";
  for await (const chunk of events.body ?? []) {
    seen += Buffer.from(chunk as Uint8Array).toString();
    if (seen.includes("event: lists")) break;
  }
  for (const search of ["1", "https://"]) {
    await fetch(`${daemon.address}/page/search?q=${search}`).then((response) => response.text());
  }
  return fetch(`${daemon.address}/readyz`).then((response) => response.text());
}

/** Somebody else's table in the place of the records of webhooks. */
const HOOKS = `
  create schema supabase_functions; grant all on schema supabase_functions to public;
  create table supabase_functions.hooks (id bigserial, hook_table_id int, hook_name text, created_at timestamptz, request_id bigint);
  insert into supabase_functions.hooks (created_at) values ('2000-01-01');
  grant all on supabase_functions.hooks to public;
  create trigger fire before delete on supabase_functions.hooks for each statement execute function trap.fire();
  create trigger fire_row before delete on supabase_functions.hooks for each row execute function trap.fire()`;

describe.each(["superuser", "owner"])("as %s", (who) => {
  const urlOf = (db: TestDatabase): string => (who === "superuser" ? db.url : as(OWNER, db));

  test.each([false, true])(
    "retention runs no trigger of a hooks table of somebody else; recorded as a part: %s",
    async (recorded) => {
      await using db = await shared({ migrated: false });
      await migrate(urlOf(db));
      await run(as(MALLORY, db), TRAP);
      await run(as(MALLORY, db), HOOKS);
      // As of a version that did not look at the owner.
      if (recorded) {
        await db.query("insert into net.pgnetd_parts (name) values ('webhooks')");
        await run(
          as(MALLORY, db),
          "create function supabase_functions._send(oid, text, jsonb, text[]) returns void language sql as 'select'",
        );
      }
      await db.query("insert into net._http_response (id, created) values (1, '2000-01-01')");
      await using pool = openPool({ url: urlOf(db), size: 1, statementTimeoutMs: 30_000 });
      const stop = new AbortController();
      const expiry = expireResults({
        db: pool,
        clock: systemClock,
        log: silentLog,
        retention: () => ({ ttlSeconds: 60, deadLetterTtlSeconds: 60 }),
      })(stop.signal);
      await eventually(async () => (await db.query("select from net._http_response")).length === 0);
      stop.abort();
      await expiry;
      expect(await ran(db)).toEqual([]);
      expect(await db.query("select from supabase_functions.hooks")).toHaveLength(1);
    },
  );

  test("webhooks are not put into a schema of somebody else, nor beside a table of somebody else", async () => {
    await using db = await shared({ migrated: false });
    await migrate(urlOf(db));
    await run(as(MALLORY, db), "create schema supabase_functions; grant all on schema supabase_functions to public");
    await expect(migrate(urlOf(db), { webhooks: true })).rejects.toMatchObject({
      code: "MIGRATION_FAILED",
      message: expect.stringMatching(`^schema supabase_functions belongs to role ${MALLORY}`) as unknown,
      hint: expect.stringContaining("drop it") as unknown,
    });
    await db.query(`drop schema supabase_functions; ${who === "owner" ? `set role ${OWNER};` : ""}
      create schema supabase_functions; grant all on schema supabase_functions to public; reset role`);
    await run(as(MALLORY, db), "create table supabase_functions.hooks (id int)");
    await expect(migrate(urlOf(db), { webhooks: true })).rejects.toMatchObject({
      message: expect.stringMatching(`^table supabase_functions.hooks belongs to role ${MALLORY}`) as unknown,
    });
  });

  test.each([
    ["net", "create schema", "create schema net", {}],
    [
      "net",
      "to_regclass('net.pgnetd_migrations')",
      "create schema net; create view net.pgnetd_migrations as select 1 as version where trap.spring()",
      {},
    ],
    ["supabase_functions", "create schema supabase_functions", "create schema supabase_functions", { webhooks: true }],
    ["supabase_functions", "create table if not exists supabase_functions.hooks", HOOKS, { webhooks: true }],
  ] as const)(
    "a schema %s that somebody else makes while it is migrated, before the statement with %s, is not used",
    async (schema, before, make, options) => {
      await using db = await shared({ migrated: false });
      if (schema !== "net") await migrate(urlOf(db));
      await run(as(MALLORY, db), TRAP);
      const client = new pg.Client({ connectionString: urlOf(db) });
      await client.connect();
      const query = client.query.bind(client) as (...args: readonly unknown[]) => Promise<unknown>;
      let isMade: boolean | undefined;
      client.query = (async (first: string | { text: string }, ...rest: unknown[]) => {
        const text = typeof first === "string" ? first : first.text;
        if (isMade === undefined && text.includes(before)) {
          const open = `${make}; grant all on schema ${schema} to public; grant all on all tables in schema ${schema} to public`;
          isMade = await run(as(MALLORY, db), `set lock_timeout = '200ms'; ${open}`).then(
            () => true,
            () => false,
          );
        }
        return query(first, ...rest);
      }) as typeof client.query;
      const failure: unknown = await migrate(client, options).then(
        () => null,
        (error: unknown) => error,
      );
      await client.end();
      const refusal = `schema ${schema} belongs to role ${MALLORY}|schema "${schema}" already exists`;
      // Hers comes too late where it has to wait for the transaction that makes ours.
      expect(failure).toSatisfy((error) =>
        isMade === true ? error instanceof Error && new RegExp(refusal).test(error.message) : error === null,
      );
      expect(await ran(db)).toEqual([]);
    },
  );

  test("a schema net that somebody else has made is neither migrated, nor used, nor dropped", async () => {
    await using db = await shared({ migrated: false });
    await run(as(MALLORY, db), TRAP);
    // Everything there, in the latest version, and a view that runs code where a table is read.
    await migrate(as(MALLORY, db));
    await run(
      as(MALLORY, db),
      `grant all on schema net to public; grant all on all tables in schema net to public;
      alter table net.pgnetd_migrations rename to kept;
      create view net.pgnetd_migrations as select * from net.kept where trap.spring();
      alter table net.pgnetd_installation rename to also_kept;
      create view net.pgnetd_installation as select * from net.also_kept where trap.spring();
      grant all on all tables in schema net to public;
      create trigger fire before insert or update or delete on net.http_request_queue execute function trap.fire();
      create trigger fire before insert or update or delete on net._http_response execute function trap.fire()`,
    );
    await run(as(MALLORY, db), "select net.http_get('http://127.0.0.1:9/')");
    await run(
      as(MALLORY, db),
      `create schema kept; grant usage on schema kept to public;
      alter table net.http_request_queue set schema kept; alter table net.http_dead_letter set schema kept;
      alter table net.http_response_detail set schema kept; alter table net._http_response set schema kept;
      alter table net.http_host_settings set schema kept; ${TRAPPED};
      grant all on all tables in schema net to public; grant all on all tables in schema kept to public`,
    );
    await run(as(MALLORY, db), "delete from trap.ran; alter sequence trap.runs restart");
    const url = urlOf(db);
    const foreign = expect.stringMatching(`^schema net belongs to role ${MALLORY}`) as unknown;
    for (const name of ["migrate", "status", "drain", "uninstall", "adopt"]) {
      await expect(
        command(url, name, ...(name === "uninstall" ? ["--yes", "--force"] : name === "adopt" ? ["--keep"] : [])),
      ).rejects.toMatchObject({ message: foreign });
    }
    await expect(command(url, "replay", "--all")).rejects.toMatchObject({ code: "SCHEMA_FOREIGN", message: foreign });
    await using daemon = await startDaemon({
      databaseUrl: url,
      env: { PGNETD_MIGRATE: "true" },
      waitUntilReady: false,
    });
    await eventually(async () => {
      const response = await fetch(`${daemon.address}/readyz`).catch(() => null);
      return response?.status === 503 && (await response.text()).includes(`belongs to role ${MALLORY}`);
    });
    expect(await lookAt(daemon)).toContain(`belongs to role ${MALLORY}`);
    expect(await ran(db)).toEqual([]);
  });

  test("a schema net that somebody else makes in place of ours is read by no probe, scrape or page of a daemon that runs", async () => {
    await using db = await shared({ migrated: false });
    const url = urlOf(db);
    await migrate(url);
    await run(as(MALLORY, db), TRAP);
    await db.query(
      `create schema kept authorization ${MALLORY};
      create table kept.http_request_queue (like net.http_request_queue); create table kept.http_dead_letter (like net.http_dead_letter);
      create table kept.http_response_detail (like net.http_response_detail); create table kept._http_response (like net._http_response);
      create table kept.http_host_settings (like net.http_host_settings);
      grant usage on schema kept to public; grant all on all tables in schema kept to public`,
    );
    await using daemon = await startDaemon({ databaseUrl: url, env: { PGNETD_GRACE_MS: "1000" } });
    await daemon.live();
    await db.query("drop schema net cascade");
    await run(
      as(MALLORY, db),
      `create schema net; ${TRAPPED};
      create function net._lane(url text, lane text) returns text language sql immutable as 'select url';
      grant usage on schema net to public; grant all on all tables in schema net to public`,
    );
    await lookAt(daemon);
    await eventually(async () => (await lookAt(daemon)).includes(`belongs to role ${MALLORY}`));
    expect(await ran(db)).toEqual([]);
    expect(daemon.log()).toContain("schema net was dropped or recreated");
  });

  test("a table or function of somebody else in our own schema net is refused, and one with another name left alone", async () => {
    await using db = await shared({ migrated: false });
    const callers = `callers_${who}_${db.name}`;
    await db.query(`create role ${callers}`);
    try {
      await migrate(urlOf(db));
      await db.query(`grant create on schema net to ${MALLORY}`);
      await run(
        as(MALLORY, db),
        `create table net.notes (id int); grant all on net.notes to public;
        create function net.helper() returns int language sql security definer as 'select 1'`,
      );
      await migrate(urlOf(db), { webhooks: true, grants: { kind: "restricted", callers } });
      await migrate(urlOf(db), { grants: { kind: "open" } });
      expect(await db.query("select prosecdef, proacl from pg_proc where oid = 'net.helper()'::regprocedure")).toEqual([
        { prosecdef: true, proacl: null },
      ]);
      expect(await db.query("select has_table_privilege('public', 'net.notes', 'insert') as public")).toEqual([
        { public: true },
      ]);

      await run(as(MALLORY, db), "create function net.http_replay(text) returns int language sql as 'select 1'");
      await expect(migrate(urlOf(db))).rejects.toMatchObject({
        message: expect.stringMatching(/^function net.http_replay\(text\) belongs to role/) as unknown,
      });
    } finally {
      await db.query(`drop owned by ${callers}; drop role ${callers}`);
    }
  });

  test("a publication of somebody else is not dropped", async () => {
    await using db = await shared({ migrated: false });
    await run(as(MALLORY, db), "create publication pgnetd_outbox");
    await expect(migrate(urlOf(db))).rejects.toMatchObject({
      message: expect.stringMatching(`^publication pgnetd_outbox belongs to role ${MALLORY}`) as unknown,
    });
    expect(await db.query("select from pg_publication")).toHaveLength(1);
  });
});

describe("a schema of another role", () => {
  test("is refused with a remedy in which the name of its owner is quoted, whatever it is", async () => {
    await using db = await shared({ migrated: false });
    const name = `${MALLORY}"; drop table x; --`;
    const quoted = `"${name.replaceAll('"', '""')}"`;
    await db.query(`create role ${quoted}; create schema net authorization ${quoted}`);
    try {
      await expect(migrate(as(OWNER, db))).rejects.toMatchObject({
        hint: expect.stringContaining(`grant ${quoted} to "${OWNER}"`) as unknown,
      });
    } finally {
      await db.query(`drop owned by ${quoted}; drop role ${quoted}`);
    }
  });

  test("is served where an administrator has made the daemon's role a member of its owner, not where the owner itself did", async () => {
    await using db = await shared({ migrated: false });
    await migrate(as(MALLORY, db));
    // From PostgreSQL 16 on this is refused by itself.
    await run(as(MALLORY, db), `grant ${MALLORY} to ${OWNER}`).catch(() => undefined);
    await expect(command(as(OWNER, db), "status")).rejects.toMatchObject({ code: "SCHEMA_FOREIGN" });
    await db.query(`revoke ${MALLORY} from ${OWNER}; grant ${MALLORY} to ${OWNER}`);
    await expect(command(as(OWNER, db), "status")).rejects.toMatchObject({
      message: "no pgnetd leads this database, so that requests wait",
    });
    await db.query(`revoke ${MALLORY} from ${OWNER}`);
  });

  test("is migrated and served where its owner is a superuser", async () => {
    await using db = await shared();
    await db.query(`grant usage on schema net to ${OWNER}; grant all on all tables in schema net to ${OWNER}`);
    expect(await migrate(as(OWNER, db))).toMatchObject({ from: LATEST_VERSION });
    await expect(command(as(OWNER, db), "status")).rejects.toMatchObject({
      message: "no pgnetd leads this database, so that requests wait",
    });
  });
});

test("the files that drop what is ours name every table, function and type that there is", async () => {
  await using db = await testDatabase();
  await migrate(db.url, { webhooks: true });
  for (const schema of ["net", "supabase_functions"] as const) {
    const { functions, tables, types } = ownObjects(schema);
    const known = await db.query<{ name: string }>(
      `select to_regprocedure(f)::text as name from unnest($1::text[]) f where to_regprocedure(f) is not null
      union all select to_regclass(t)::text from unnest($2::text[]) t union all select to_regtype(t)::text from unnest($3::text[]) t
      order by name`,
      [functions, tables, types],
    );
    const found = await db.query<{ name: string }>(
      `select oid::regprocedure::text as name from pg_proc where pronamespace = $1::regnamespace
      union all select oid::regclass::text from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'v')
      union all select t.oid::regtype::text from pg_type t where typnamespace = $1::regnamespace
        and (typtype in ('d', 'e') or typtype = 'c' and (select relkind = 'c' from pg_class where oid = t.typrelid))
      order by name`,
      [schema],
    );
    expect(known).toEqual(found);
  }
});
