import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.query("create table orders (id serial primary key, url text)");
  await db.query(`create function notify() returns trigger language plpgsql as
    $$ begin perform net.http_post(new.url, to_jsonb(new)); return new; end $$`);
  await db.query("create trigger notify after insert on orders for each row execute function notify()");
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await db.query("truncate net.http_request_queue, orders");
});

async function run(text: string): Promise<void> {
  const client = await db.pool.connect();
  try {
    await client.query(text);
  } finally {
    await client.query("rollback");
    client.release();
  }
}

async function urls(): Promise<unknown[]> {
  return (await db.query("select url from net.http_request_queue order by url")).map((row) => row["url"]);
}

describe("P1: the outbox holds what committed, and nothing else", () => {
  test("not a rolled-back transaction", async () => {
    await run("begin; select net.http_get('http://h/1'); insert into orders (url) values ('http://h/2'); rollback");
    expect(await urls()).toEqual([]);
  });

  test("not a rolled-back savepoint, its neighbours stay", async () => {
    await run(`begin; select net.http_get('http://h/1'); savepoint a; select net.http_get('http://h/2');
      savepoint b; select net.http_get('http://h/3'); release b; rollback to a; select net.http_get('http://h/4'); commit`);
    expect(await urls()).toEqual(["http://h/1", "http://h/4"]);
  });

  test("not what an exception block undid", async () => {
    await run(`do $$ begin
      perform net.http_get('http://h/1');
      begin perform net.http_get('http://h/2'); perform 1 / 0; exception when division_by_zero then null; end;
    end $$`);
    expect(await urls()).toEqual(["http://h/1"]);
  });

  test("a prepared transaction with commit prepared", async () => {
    await run(`begin; select net.http_get('http://h/1'); prepare transaction '${db.name}_1'`);
    await run(`begin; select net.http_get('http://h/2'); prepare transaction '${db.name}_2'`);
    expect(await urls()).toEqual([]);
    await db.query(`commit prepared '${db.name}_1'`);
    await db.query(`rollback prepared '${db.name}_2'`);
    expect(await urls()).toEqual(["http://h/1"]);
  });

  test("one row for each row of one statement", async () => {
    await db.query("insert into orders (url) select 'http://h/' || n from generate_series(1, 3) as n");
    await db.query("select net.http_get('http://h/' || n) from generate_series(4, 6) as n");
    expect(await urls()).toEqual([1, 2, 3, 4, 5, 6].map((n) => `http://h/${n}`));
  });

  test("callers at the same time get ids of their own", async () => {
    const rows = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        db.query(`select net.http_get('http://h/${n}') as id from generate_series(1, 20)`),
      ),
    );
    expect(new Set(rows.flat().map((row) => row["id"])).size).toBe(1000);
    expect(await db.query("select count(*)::int from net.http_request_queue")).toEqual([{ count: 1000 }]);
  });

  test("the functions keep out of parallel workers, which cannot write", async () => {
    expect(
      await db.query(
        `select proname from pg_proc where pronamespace = 'net'::regnamespace and proname ~ '^http_' and proparallel <> 'u'`,
      ),
    ).toEqual([]);
  });
});

describe("P9: the caller is not hurt", () => {
  test("a wrong call fails alone: a savepoint saves the rest", async () => {
    const client = await db.pool.connect();
    try {
      await client.query("begin; insert into orders (url) values ('http://h/1'); savepoint a");
      await expect(client.query("insert into orders (url) values ('no url')")).rejects.toMatchObject({ code: "22023" });
      await client.query("rollback to a; commit");
    } finally {
      client.release();
    }
    expect(await urls()).toEqual(["http://h/1"]);
  });

  test("enqueueing waits for nobody who looks, cancels or holds rows", async () => {
    const holder = await db.pool.connect();
    try {
      await db.query("select net.http_get('http://h/0')");
      await holder.query("begin; select * from net.http_request_queue for update; delete from net.http_request_queue");
      await db.query("set lock_timeout = '2s'; select net.http_get('http://h/1'); reset lock_timeout");
    } finally {
      await holder.query("rollback");
      holder.release();
    }
    expect(await urls()).toEqual(["http://h/0", "http://h/1"]);
  });
});

describe("a delete on the published outbox", () => {
  test("works: only inserts and truncates are published", async () => {
    await db.query("select net.http_get('http://h/1')");
    await db.query("delete from net.http_request_queue");
    await db.query("update net.http_request_queue set attempts = 1");
    expect(
      await db.query(
        "select pubinsert, pubupdate, pubdelete, pubtruncate from pg_publication where pubname = 'pgnetd_outbox'",
      ),
    ).toEqual([{ pubinsert: true, pubupdate: false, pubdelete: false, pubtruncate: true }]);
  });
});
