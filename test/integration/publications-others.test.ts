import { expect, test } from "vitest";
import { migrate } from "../../src/pg/migrate.ts";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { wantedMajor } from "../support/postgres-versions.ts";
import { startReceiver } from "../support/receiver.ts";

/** Publications as PowerSync, Realtime and tools that copy databases make them, and when. */
const WAYS = [
  { name: "for all tables, before the schema", make: "create publication everything for all tables", before: true },
  { name: "for all tables, after the schema", make: "create publication everything for all tables", before: false },
  ...(wantedMajor() >= 15
    ? [{ name: "of schema net", make: "create publication everything for tables in schema net", before: false }]
    : []),
];

async function published({ make, before }: (typeof WAYS)[number]): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  if (before) await db.query(make);
  await migrate(db.url, { webhooks: true });
  if (!before) await db.query(make);
  return db;
}

/** An answer, its detail, a dead letter and a webhook's record, all ended before `age`. */
async function insertEnded(db: TestDatabase, age: string): Promise<void> {
  await db.query(`
    insert into net._http_response (id, status_code, created) select 7, 200, now() - interval '${age}';
    insert into net._http_response (id, status_code, created) select 7, 200, now() - interval '${age}';
    insert into net._http_response (id, created) select null, now() - interval '${age}';
    insert into net.http_response_detail (id, method, url, attempts, enqueued, created)
      select 7, 'GET', 'http://h/', 1, now(), now() - interval '${age}';
    insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, died)
      select 7, 'GET', 'http://h/', 1, now(), 3, now() - interval '${age}';
    insert into supabase_functions.hooks (hook_table_id, hook_name, request_id, created_at)
      select 1, 'h', 7, now() - interval '${age}'`);
}

async function count(db: TestDatabase): Promise<readonly number[]> {
  const [row] = await db.query<Record<string, number>>(`
    select (select count(*) from net._http_response)::int as a, (select count(*) from net.http_response_detail)::int as b,
      (select count(*) from net.http_dead_letter)::int as c, (select count(*) from supabase_functions.hooks)::int as d`);
  return Object.values(row ?? {});
}

test.for(WAYS)("with a publication $name, users' own clean-ups and changes work", async (way) => {
  await using db = await published(way);
  await insertEnded(db, "1 minute");
  expect(await count(db)).toEqual([3, 1, 1, 1]);
  await db.query("update net._http_response set content = 'read' where id = 7");
  await db.query("update net.http_dead_letter set url = 'http://h/2'");
  await db.query("select net.http_replay(7)");
  await db.query("update net.http_request_queue set next_attempt_at = now()");
  await db.query("delete from net.http_request_queue");
  await db.query("delete from net._http_response where created < now()");
  await db.query("delete from net.http_response_detail");
  await db.query("delete from supabase_functions.hooks");
  await db.query("update net.pgnetd_installation set environment = 'production'");
  await migrate(db.url, { grants: { kind: "open" } });
  await migrate(db.url, { grants: { kind: "open" } });
  expect(await count(db)).toEqual([0, 0, 0, 0]);
});

test.for(WAYS)("with a publication $name, the daemon sends, tries again, stores and expires", async (way) => {
  await using db = await published(way);
  await using receiver = await startReceiver();
  let tries = 0;
  receiver.behave(() => ({ kind: "answer", status: (tries += 1) < 3 ? 503 : 200 }));
  await insertEnded(db, "2 days");
  await using _daemon = await startInProcess(db.url, { PGNETD_DEAD_LETTER_TTL: "1 day" });
  await eventually(async () => (await count(db)).every((left) => left === 0));
  await db.query("select net.http_request('POST', $1, 'x', max_attempts := 3, retry_first_ms := 1)", [
    receiver.url("/"),
  ]);
  await emptied(db);
  expect(receiver.requests).toHaveLength(3);
  expect(await db.query("select status_code from net._http_response")).toEqual([{ status_code: 200 }]);
});

test("replica identities are a matter of the catalog: a large table is not rewritten for them", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: 6 });
  const files = (): Promise<unknown> =>
    db.query(`select relname, pg_relation_filenode(oid) as file from pg_class
      where relnamespace = 'net'::regnamespace and relkind in ('r', 'i', 't') order by relname`);
  const before = await files();
  await migrate(db.url, { to: 9 });
  expect(await files()).toEqual(before);
});
