import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.url, { webhooks: true });
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await db.query("truncate net.http_request_queue, supabase_functions.hooks");
  await db.query("drop table if exists items; create table items (id int primary key, name text)");
});

async function hook(when: string, args: string, level = "row"): Promise<void> {
  await db.query(
    `create trigger "my hook" ${when} on items for each ${level} execute function supabase_functions.http_request(${args})`,
  );
}

async function queued(): Promise<Record<string, unknown>[]> {
  const rows = await db.query(
    `select method::text, url, headers, convert_from(body, 'UTF8')::json as body, timeout_milliseconds as timeout
    from net.http_request_queue order by id`,
  );
  return rows;
}

const FIVE = `'http://h/hook', 'POST', '{"Content-Type":"application/json", "X": "y"}', '{"p": "q"}', '700'`;
const JSON_TYPE = { "Content-Type": "application/json" };

describe("a webhook on rows", () => {
  test("posts what changed, with headers, params and timeout, and records the request", async () => {
    await hook("after insert or update or delete", FIVE);
    await db.query("insert into items values (1, 'a'); update items set name = 'b'; delete from items");
    const common = {
      method: "POST",
      url: "http://h/hook?p=q",
      headers: { ...JSON_TYPE, X: "y" },
      timeout: 700,
    };
    const about = { table: "items", schema: "public" };
    expect(await queued()).toEqual([
      { ...common, body: { ...about, type: "INSERT", record: { id: 1, name: "a" }, old_record: null } },
      { ...common, body: { ...about, type: "UPDATE", record: { id: 1, name: "b" }, old_record: { id: 1, name: "a" } } },
      { ...common, body: { ...about, type: "DELETE", record: null, old_record: { id: 1, name: "b" } } },
    ]);
    expect(
      await db.query(
        `select hook_table_id = 'items'::regclass::oid::int as this, hook_name, created_at is not null as dated, q.id is not null as queued
        from supabase_functions.hooks as h left join net.http_request_queue as q on q.id = request_id`,
      ),
    ).toEqual(Array.from({ length: 3 }, () => ({ this: true, hook_name: "my hook", dated: true, queued: true })));
  });

  test.each([["'http://h/', 'POST'"], ["'http://h/', 'POST', 'null', 'null', 'null'"]])(
    "(%s): what is missing or 'null' has a default",
    async (args) => {
      await hook("after insert", args);
      await db.query("insert into items values (1)");
      expect(await queued()).toMatchObject([{ url: "http://h/", headers: JSON_TYPE, timeout: 1000 }]);
    },
  );

  test("GET sends no body", async () => {
    await hook("after insert", `'http://h/', 'GET', 'null', '{"p": "q"}', '2000'`);
    await db.query("insert into items values (1)");
    expect(await queued()).toEqual([
      { method: "GET", url: "http://h/?p=q", headers: JSON_TYPE, body: null, timeout: 2000 },
    ]);
  });

  test.each(["PUT", "PATCH", "DELETE", "post"])("%s sends what changed", async (method) => {
    await hook("after insert", `'http://h/', '${method}'`);
    await db.query("insert into items values (1)");
    expect(await queued()).toMatchObject([
      { method: method.toUpperCase(), body: { type: "INSERT", record: { id: 1 } } },
    ]);
  });

  test.each([
    ["before insert", "insert into items values (2, 'x')", 2],
    ["before update", "update items set name = 'x'", 1],
    ["before delete", "delete from items", 0],
  ])("%s lets the statement do its work", async (when, statement, left) => {
    await db.query("insert into items values (1, 'a')");
    await hook(when, "'http://h/', 'POST'");
    await db.query(statement);
    expect(await db.query("select count(*)::int from items")).toEqual([{ count: left }]);
    expect(await queued()).toHaveLength(1);
  });
});

describe("a webhook on statements", () => {
  test.each([
    ["after insert", "insert into items select generate_series(1, 3)", "INSERT"],
    ["before delete", "delete from items", "DELETE"],
    ["after truncate", "truncate items", "TRUNCATE"],
  ])("%s sends one request without rows", async (when, statement, type) => {
    await hook(when, "'http://h/', 'POST'", "statement");
    await db.query(statement);
    expect((await queued()).map((row) => row["body"])).toEqual([
      { type, table: "items", schema: "public", record: null, old_record: null },
    ]);
  });
});

describe("a webhook with wrong arguments", () => {
  test.each([
    ["", "url argument is missing"],
    ["'null', 'POST'", "url argument is missing"],
    ["'http://h/'", "method argument is missing"],
    ["'http://h/', 'null'", "method argument is missing"],
    ["'http://h/', 'HEAD'", "method argument HEAD is invalid"],
    ["'/h', 'POST'", 'invalid URL "/h"'],
  ])("(%s) fails the statement", async (args, message) => {
    await hook("after insert", args);
    await expect(db.query("insert into items values (1)")).rejects.toMatchObject({ code: "22023", message });
    expect(await db.query("select from items")).toEqual([]);
  });

  test.each([
    ["as its sixth argument", "'/h', 'POST', 'null', 'null', 'null', 'warn'", ""],
    ["as a setting", "'/h', 'POST'", "set pgnetd.webhook_errors = 'warn'"],
    ["in wrong JSON", "'http://h/', 'POST', 'no json', 'null', 'null', 'warn'", ""],
  ])("only warns when asked to %s", async (_, args, setting) => {
    await hook("after insert", args);
    const client = await db.pool.connect();
    const warnings: unknown[] = [];
    client.on("notice", (notice) => warnings.push(notice.severity, notice.message?.slice(0, 33)));
    try {
      await client.query(`${setting}; insert into items values (1); reset pgnetd.webhook_errors`);
    } finally {
      client.release(true);
    }
    expect(warnings).toEqual(["WARNING", "webhook my hook sent nothing: inv"]);
    expect(await db.query("select from items")).toHaveLength(1);
    expect(await queued()).toEqual([]);
  });

  test("the argument wins over the setting", async () => {
    await hook("after insert", "'/h', 'POST', 'null', 'null', 'null', 'raise'");
    const client = await db.pool.connect();
    await client.query("set pgnetd.webhook_errors = 'warn'");
    await expect(client.query("insert into items values (1)")).rejects.toMatchObject({ code: "22023" });
    client.release(true);
  });
});

describe("the writer of a table with a webhook", () => {
  test.each(["open", "restricted"] as const)("needs no rights of its own with %s grants", async (kind) => {
    const role = `${db.name}_${kind}`;
    await db.query(`create role ${role}; create role ${role}_callers; grant insert on items to ${role}`);
    await hook("after insert", "'http://h/', 'POST'");
    await migrate(db.url, { grants: kind === "open" ? { kind } : { kind, callers: `${role}_callers` } });
    try {
      await db.query(`set role ${role}; insert into items values (1); reset role`);
      expect(await queued()).toHaveLength(1);
      expect(await db.query("select from supabase_functions.hooks")).toHaveLength(1);
    } finally {
      await migrate(db.url, { grants: { kind: "open" } });
      await db.query(`drop owned by ${role}, ${role}_callers; drop role ${role}, ${role}_callers`);
    }
  });
});

describe("the record of webhooks", () => {
  test("is trimmed by age, oldest first, in batches", async () => {
    await db.query(`insert into supabase_functions.hooks (hook_table_id, hook_name, created_at)
      select 1, 'h' || n, now() - n * interval '1 hour' from generate_series(0, 9) as n`);
    const expire = async (ttl: number | null): Promise<unknown> =>
      (await db.query("select net._expire_hooks($1, 3) as n", [ttl]))[0]?.["n"];
    expect(await expire(null)).toBe(0);
    expect(await expire(6 * 3600 - 60)).toBe(3);
    expect(
      await db.query("select date_trunc('hour', max(now() - created_at))::text as age from supabase_functions.hooks"),
    ).toEqual([{ age: "06:00:00" }]);
    expect(await expire(6 * 3600 - 60)).toBe(1);
    expect(await expire(6 * 3600 - 60)).toBe(0);
    expect(await db.query("select count(*)::int from supabase_functions.hooks")).toEqual([{ count: 6 }]);
  });

  test("P6: what somebody has locked of it is left for the next time, and nobody waits for that", async () => {
    await db.query(`insert into supabase_functions.hooks (hook_table_id, hook_name, created_at)
      select 1, 'h' || n, now() - n * interval '1 hour' from generate_series(1, 3) as n`);
    const [other, here] = [await db.pool.connect(), await db.pool.connect()];
    try {
      await other.query("begin; select from supabase_functions.hooks where hook_name = 'h3' for update");
      await here.query("set statement_timeout = '10s'");
      const expire = async (): Promise<unknown> => (await here.query("select net._expire_hooks(60, 100) as n")).rows[0];
      expect(await expire()).toEqual({ n: 2 });
      await other.query("rollback");
      expect(await expire()).toEqual({ n: 1 });
    } finally {
      other.release(true);
      here.release(true);
    }
  });

  test("is not missed where webhooks are not installed", async () => {
    await using plain = await testDatabase();
    expect(await plain.query("select net._expire_hooks(1, 100) as n")).toEqual([{ n: 0 }]);
  });
});
