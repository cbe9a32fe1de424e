import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
let anybody: string;
let callers: string;
beforeAll(async () => {
  db = await testDatabase();
  anybody = `${db.name}_anybody`;
  callers = `${db.name}_callers`;
  await db.query(`create role ${anybody}; create role ${callers}`);
});
afterAll(async () => {
  await db.query(`drop owned by ${anybody}, ${callers}; drop role ${anybody}, ${callers}`);
  await db[Symbol.asyncDispose]();
});

/** Runs `text` as `role` and returns the rows of its last statement. */
async function as(role: string, text: string): Promise<unknown[]> {
  const client = await db.pool.connect();
  try {
    await client.query(`set role ${role}`);
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.query("reset role");
    client.release();
  }
}

const DENIED = { code: "42501" };

describe("as installed, as with pg_net", () => {
  test("any role may call, insert, look, collect and cancel", async () => {
    await as(anybody, "select net.http_get('http://h/'), net.http_post('http://h/'), net.http_delete('http://h/')");
    await as(
      anybody,
      "select net.http_request('PUT', 'http://h/', 'x', deduplication_key := 'k', params := '{\"a\": \"b c\"}')",
    );
    await as(anybody, "select net.http_request('PUT', 'http://h/', 'x', deduplication_key := 'k')");
    await as(
      anybody,
      "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'http://h/', 1)",
    );
    expect(await as(anybody, "select count(*)::int from net.http_request_queue")).toEqual([{ count: 5 }]);
    expect(await as(anybody, "select status::text from net.http_collect_response(1)")).toEqual([{ status: "PENDING" }]);
    await as(anybody, "delete from net.http_request_queue; truncate net.http_request_queue, net._http_response");
    await as(anybody, "select net.worker_restart(), net.wake()");
    expect(await as(anybody, "select * from net.http_response_detail")).toEqual([]);
    expect(await as(anybody, "select id, error_msg from net.http_dead_letter")).toEqual([]);
    expect(await as(anybody, "select host from net.http_host_settings")).toEqual([]);
  });

  test("every role has these rights on the tables and no others, as docs/sql-api.md says", async () => {
    const rows = await db.query<{ name: string; rights: string }>(
      `select relname as name, string_agg(lower(privilege_type), ' ' order by privilege_type) as rights
      from pg_class, aclexplode(relacl) where relnamespace = 'net'::regnamespace and relkind = 'r' and grantee = 0
      group by relname order by relname`,
    );
    const all = "delete insert select truncate update";
    expect(rows).toEqual([
      { name: "_http_response", rights: all },
      { name: "http_dead_letter", rights: "references" },
      { name: "http_host_settings", rights: "select" },
      { name: "http_lane_activity", rights: "select" },
      { name: "http_request_queue", rights: all },
      { name: "http_response_detail", rights: "select" },
      { name: "pgnetd_installation", rights: "references" },
      { name: "pgnetd_migrations", rights: "select" },
      { name: "pgnetd_parts", rights: "references" },
    ]);
    expect(
      await db.query(
        `select attrelid::regclass::text as name, string_agg(attname, ' ' order by attnum) as columns
        from pg_attribute, aclexplode(attacl) where grantee = 0 and attrelid::regclass::text like 'net.%' group by 1`,
      ),
    ).toEqual([
      { name: "net.http_dead_letter", columns: "id method created attempts error_code error_msg status_code died" },
    ]);
  });

  test("no role may run code as the daemon: no triggers, no functions, no rules", async () => {
    await db.query(`create function public.f() returns trigger language plpgsql as 'begin return new; end'`);
    for (const table of ["net.http_request_queue", "net._http_response"]) {
      await expect(
        as(anybody, `create trigger t before insert on ${table} for each row execute function public.f()`),
      ).rejects.toMatchObject(DENIED);
      await expect(as(anybody, `create rule r as on insert to ${table} do also select 1`)).rejects.toMatchObject(
        DENIED,
      );
      await expect(as(anybody, `alter table ${table} add x int`)).rejects.toMatchObject(DENIED);
    }
    await expect(as(anybody, "create table net.t ()")).rejects.toMatchObject(DENIED);
  });

  test("no role may read the secrets of dead letters, replay, or change settings", async () => {
    await expect(as(anybody, "select headers from net.http_dead_letter")).rejects.toMatchObject(DENIED);
    await expect(as(anybody, "select body from net.http_dead_letter")).rejects.toMatchObject(DENIED);
    await expect(as(anybody, "select net.http_replay(1)")).rejects.toMatchObject(DENIED);
    await expect(as(anybody, "insert into net.http_host_settings values ('h', 1, 1)")).rejects.toMatchObject(DENIED);
    await expect(as(anybody, "insert into net.pgnetd_migrations values (99, 'x')")).rejects.toMatchObject(DENIED);
  });

  test("grants and revokes on all objects by a role that owns none of them warn, as with pg_net", async () => {
    await migrate(db.url, { webhooks: true });
    const client = await db.pool.connect();
    const warnings: string[] = [];
    const listen = ({ message = "" }: { readonly message?: string | undefined }): void => void warnings.push(message);
    client.on("notice", listen);
    const grants = async (): Promise<unknown> =>
      (
        await client.query(
          `select relname, relacl::text from pg_class where relnamespace = any (array['net', 'supabase_functions']::regnamespace[])
          order by 1`,
        )
      ).rows;
    const before = await grants();
    try {
      await client.query(`set role ${anybody}`);
      for (const schema of ["net", "supabase_functions"]) {
        for (const what of ["tables", "sequences", "functions", "routines", "procedures"]) {
          await client.query(`grant all on all ${what} in schema ${schema} to ${callers}, ${anybody}`);
          await client.query(`revoke all on all ${what} in schema ${schema} from ${callers}`);
        }
        await client.query(`grant all on schema ${schema} to ${callers}; grant usage on schema ${schema} to public`);
      }
      for (const table of ["http_request_queue", "http_dead_letter", "pgnetd_installation"]) {
        await client.query(`grant select, insert on net.${table} to ${callers}`);
      }
    } finally {
      await client.query("reset role");
      client.off("notice", listen);
      client.release();
    }
    for (const name of ["net", "pgnetd_parts", "http_request_queue_id_seq", "http_replay", "hooks"]) {
      expect(warnings).toContain(`no privileges were granted for "${name}"`);
    }
    expect(await grants()).toEqual(before);
  });

  test("no role may refer to what every role has REFERENCES on, with code of its own or without", async () => {
    await db.query(`create schema refers; grant all on schema refers to ${anybody}`);
    await as(
      anybody,
      `create type refers.e as enum ('x');
      create function refers.f(refers.e) returns boolean language plpgsql as $$ begin return true; end $$;
      create cast (refers.e as boolean) with function refers.f(refers.e) as implicit`,
    );
    for (const type of ["refers.e", "boolean"]) {
      const keyless = `create table refers.t (c ${type} references net.pgnetd_installation)`;
      await expect(as(anybody, keyless)).rejects.toMatchObject({ code: "42704" });
      const unique = `create table refers.t (c ${type} references net.pgnetd_installation (only_row))`;
      await expect(as(anybody, unique)).rejects.toMatchObject({ code: "42830" });
    }
    for (const [type, reference] of [
      ["uuid", "pgnetd_installation (id)"],
      ["text", "pgnetd_parts (name)"],
      ["bigint", "http_dead_letter (id)"],
    ]) {
      const text = `create table refers.t (c ${type} references net.${reference})`;
      await expect(as(anybody, text)).rejects.toMatchObject({ code: "42830" });
    }
    for (const text of ["select * from net.pgnetd_installation", "select * from net.pgnetd_parts"]) {
      await expect(as(anybody, text)).rejects.toMatchObject(DENIED);
    }
    await db.query("drop schema refers cascade");
  });

  test("a caller's search_path cannot change what the functions do", async () => {
    await db.query(`create schema evil; grant all on schema evil to ${anybody}`);
    await as(
      anybody,
      `create function evil.now() returns timestamptz language sql as 'select null::timestamptz';
      create function evil.jsonb_typeof(jsonb) returns text language sql as $$ select 'object' $$;
      create function evil.convert_to(text, name) returns bytea language sql as $$ select 'evil'::bytea $$;
      create function evil.strpos(text, text) returns int language sql as 'select 0'`,
    );
    await as(
      anybody,
      `set search_path = evil, pg_catalog; select net.http_post('http://h/evil', '{"a": 1}'); reset search_path`,
    );
    expect(
      await db.query(
        "select convert_from(body, 'UTF8') as body from net.http_request_queue where url = 'http://h/evil'",
      ),
    ).toEqual([{ body: '{"a": 1}' }]);
    await expect(
      as(anybody, `set search_path = evil, pg_catalog; select net.http_get('http://a b/')`),
    ).rejects.toMatchObject({ code: "22023" });
    await db.query("drop schema evil cascade");
  });
});

describe("with grants restricted", () => {
  beforeAll(async () => {
    await db.query("truncate net.http_request_queue");
    await migrate(db.url, { webhooks: true, grants: { kind: "restricted", callers } });
  });

  test("nobody else may call or look", async () => {
    for (const text of [
      "select net.http_get('http://h/')",
      "select net.http_request('GET', 'http://h/')",
      "select net.http_collect_response(1)",
      "select net.wake()",
      "select net.worker_restart()",
      "select supabase_functions._send(1, 'x', '{}', '{http://h/,GET}')",
      "select * from net.http_request_queue",
      "select * from net._http_response",
      "select id from net.http_dead_letter",
      "select nextval('net.http_request_queue_id_seq')",
    ]) {
      await expect(as(anybody, text)).rejects.toMatchObject(DENIED);
    }
  });

  test("the callers may call and collect, and see no table", async () => {
    await as(callers, "select net.http_get('http://h/1'), net.http_post('http://h/2'), net.http_delete('http://h/3')");
    await as(callers, "select net.http_put('http://h/4'), net.http_patch('http://h/5'), net.http_head('http://h/6')");
    await as(
      callers,
      "select net.http_request('PUT', 'http://h/7', net.form_urlencode('{\"a\": 1}'), deduplication_key := 'k')",
    );
    await as(callers, "select net.wake()");
    const [row] = await db.query<{ id: string }>("select id from net.http_request_queue where url = 'http://h/1'");
    expect(await as(callers, `select status::text from net.http_collect_response(${row?.id})`)).toEqual([
      { status: "PENDING" },
    ]);
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 7 }]);
    for (const text of [
      "select * from net.http_request_queue",
      "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'http://h/', 1)",
      "delete from net.http_request_queue",
      "truncate net.http_request_queue",
      "select * from net._http_response",
      "select * from net.http_response_detail",
      "select * from supabase_functions.hooks",
      "select net._enqueue('GET', 'http://h/', null, null, null, 1, null, null, null)",
      "select net.http_replay(1)",
      "select net.worker_restart()",
      `grant all on all tables in schema net to ${anybody}`,
    ]) {
      await expect(as(callers, text)).rejects.toMatchObject(DENIED);
    }
  });

  test("a role that was given a right on the outbox by hand may use it", async () => {
    await db.query(`grant usage on schema net to ${anybody}; grant insert, delete on net.http_request_queue to ${anybody};
      grant usage on sequence net.http_request_queue_id_seq to ${anybody}`);
    expect(
      await as(
        anybody,
        "insert into net.http_request_queue (method, url, timeout_milliseconds) values ('GET', 'http://by-hand/', 1) returning 1 as queued",
      ),
    ).toEqual([{ queued: 1 }]);
    await db.query(`delete from net.http_request_queue where url = 'http://by-hand/';
      revoke all on net.http_request_queue from ${anybody}; revoke usage on schema net from ${anybody};
      revoke usage on sequence net.http_request_queue_id_seq from ${anybody}`);
  });

  test("every function that acts for its caller has its search_path pinned", async () => {
    expect(
      await db.query(
        `select proname from pg_proc where pronamespace = any (array['net', 'supabase_functions']::regnamespace[])
        and prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false)`,
      ),
    ).toEqual([]);
  });

  test("stays so when migrated again, follows to another role, and can be taken back", async () => {
    await migrate(db.url);
    await migrate(db.url, { webhooks: true });
    await expect(as(anybody, "select net.http_get('http://h/')")).rejects.toMatchObject(DENIED);

    await migrate(db.url, { grants: { kind: "restricted", callers: anybody } });
    await as(anybody, "select net.http_get('http://h/')");
    await expect(as(callers, "select net.http_get('http://h/')")).rejects.toMatchObject(DENIED);

    await migrate(db.url, { grants: { kind: "open" } });
    await as(callers, "select net.http_get('http://h/'), net.worker_restart()");
    await as(anybody, "delete from net.http_request_queue");
    expect(
      await db.query("select proname from pg_proc where pronamespace = 'net'::regnamespace and prosecdef"),
    ).toEqual([]);
  });

  test("names a role that there is not", async () => {
    const failure = migrate(db.url, { grants: { kind: "restricted", callers: "no such role" } });
    await expect(failure).rejects.toMatchObject({ code: "MIGRATION_FAILED", cause: { code: "42704" } });
    await expect(failure).rejects.toThrow('role "no such role" does not exist');
    await as(anybody, "select net.http_get('http://h/')");
  });
});
