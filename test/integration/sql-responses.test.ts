import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await db.query("truncate net.http_request_queue, net._http_response, net.http_dead_letter");
});

/** What the daemon's write-back is to SQL: the response and the removal of the outbox row in one transaction. */
const ANSWER = `with gone as (delete from net.http_request_queue where id = $1 returning id)
  insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
  select id, $2::int, 'text/plain', '{"X": "y"}', $3::text, false, $4::text from gone`;

const DIE = `with gone as (delete from net.http_request_queue where id = $1 returning *)
  insert into net.http_dead_letter (id, method, url, headers, body, timeout_milliseconds, created, attempts, deduplication_key,
    options, error_code, error_msg, status_code)
  select id, method, url, headers, body, timeout_milliseconds, created, 3, deduplication_key, options, $2, $3, $4 from gone`;

async function request(): Promise<string> {
  const [row] = await db.query<{ id: string }>("select net.http_post('http://h/', '{\"a\": 1}') as id");
  return row?.id ?? "";
}

async function collected(call: string, id: unknown): Promise<unknown> {
  return (await db.query(`select status::text, message, (response).* from ${call}`, [id]))[0];
}

const NO_RESPONSE = { status_code: null, headers: null, body: null };

describe.each(["net.http_collect_response($1)", "net._http_collect_response($1, async := true)"])("%s", (call) => {
  test("is PENDING while the request is in the outbox", async () => {
    expect(await collected(call, await request())).toEqual({
      status: "PENDING",
      message: "request is waiting or in flight",
      ...NO_RESPONSE,
    });
  });

  test("is SUCCESS with any answer, an HTTP error included", async () => {
    for (const status of [200, 503]) {
      const id = await request();
      await db.query(ANSWER, [id, status, "content", null]);
      expect(await collected(call, id)).toEqual({
        status: "SUCCESS",
        message: "ok",
        status_code: status,
        headers: { X: "y" },
        body: "content",
      });
    }
  });

  test("is ERROR with the reason when there was no answer", async () => {
    const id = await request();
    await db.query(ANSWER, [id, null, null, "Couldn't connect to server"]);
    expect(await collected(call, id)).toEqual({
      status: "ERROR",
      message: "Couldn't connect to server",
      ...NO_RESPONSE,
    });
  });

  test("is ERROR for a dead letter, with its last failure", async () => {
    const [refused, failing] = [await request(), await request()];
    await db.query(DIE, [refused, "connect", "Couldn't connect to server", null]);
    await db.query(DIE, [failing, null, null, 503]);
    expect(await collected(call, refused)).toMatchObject({ status: "ERROR", message: "Couldn't connect to server" });
    expect(await collected(call, failing)).toMatchObject({
      status: "ERROR",
      message: "HTTP status 503 after 3 attempts",
    });
  });

  test("is the latest answer, or else the latest dead letter, of an id that was given again", async () => {
    await db.query(`insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, error_msg, died)
      select 7, 'GET', 'http://h/', 1, now(), 1, ends, died::timestamptz
      from (values ('second', '2026-02-01'), ('third', '2026-03-01'), ('first', '2026-01-01')) as letter (ends, died)`);
    expect(await collected(call, 7)).toMatchObject({ status: "ERROR", message: "third" });
    await db.query(`insert into net._http_response (id, status_code, headers, content, timed_out, created)
      select 7, 200, '{}', content, false, created::timestamptz
      from (values ('second', '2026-02-01'), ('third', '2026-03-01'), ('first', '2026-01-01')) as answer (content, created)`);
    expect(await collected(call, 7)).toMatchObject({ status: "SUCCESS", body: "third" });
  });

  test("is ERROR for a request that there is not", async () => {
    const missing = { status: "ERROR", message: "request matching request_id not found", ...NO_RESPONSE };
    expect(await collected(call, "-1")).toEqual(missing);
    expect(await collected(call, null)).toEqual(missing);
  });
});

describe("async := false", () => {
  const WAIT = "net.http_collect_response($1, async := false)";

  test("waits for the answer that another session commits", async () => {
    const id = await request();
    const answer = collected(WAIT, id);
    await expect
      .poll(() =>
        db.query("select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"),
      )
      .toHaveLength(1);
    await db.query(ANSWER, [id, 201, "made", null]);
    expect(await answer).toMatchObject({ status: "SUCCESS", status_code: 201, body: "made" });
  });

  test("ends with a dead letter, a cancelled request, an unknown id", async () => {
    const [dead, cancelled] = [await request(), await request()];
    const both = Promise.all([collected(WAIT, dead), collected(WAIT, cancelled)]);
    await db.query(DIE, [dead, "timeout", "Timeout of 1 ms reached", null]);
    await db.query("delete from net.http_request_queue where id = $1", [cancelled]);
    expect(await both).toMatchObject([
      { status: "ERROR", message: "Timeout of 1 ms reached" },
      { status: "ERROR", message: "request matching request_id not found" },
    ]);
    expect(await collected(WAIT, "-1")).toMatchObject({ message: "request matching request_id not found" });
  });

  test("is ended by statement_timeout", async () => {
    const id = await request();
    try {
      await expect(
        db.query(`begin; set local statement_timeout = '30ms'; select net.http_collect_response(${id}, false); commit`),
      ).rejects.toMatchObject({ code: "57014" });
    } finally {
      await db.query("rollback");
    }
  });

  test.each([
    ["in it", "select net.http_get('http://h/')"],
    ["in a savepoint of it", "savepoint a; select net.http_get('http://h/'); release a"],
    ["in a savepoint still open", "savepoint a; savepoint b; select net.http_get('http://h/')"],
    [
      "in a block that catches",
      "do $$ begin perform net.http_get('http://h/'); exception when others then raise; end $$",
    ],
  ])("raises at once in the transaction that made the request %s", async (_, make) => {
    const client = await db.pool.connect();
    try {
      await client.query(`begin; set local statement_timeout = '5s'; ${make}`);
      const { rows } = await client.query<{ id: string }>("select max(id) as id from net.http_request_queue");
      const id = rows[0]?.id;
      await expect(client.query(`select net.http_collect_response($1, false)`, [id])).rejects.toMatchObject({
        code: "25001",
        message: `request ${id} was made in this transaction, so it cannot be answered before its end`,
        hint: "Commit first, then collect the response in another transaction.",
      });
    } finally {
      await client.query("rollback");
      client.release();
    }
  });

  test("waits in a transaction that has written something else", async () => {
    const id = await request();
    const client = await db.pool.connect();
    try {
      await client.query(
        "begin; set local statement_timeout = '5s'; savepoint a; create temporary table t (); release a",
      );
      const answer = client.query("select net.http_collect_response($1, false)::text as r", [id]);
      await db.query(ANSWER, [id, 200, "x", null]);
      expect((await answer).rows).toEqual([{ r: '(SUCCESS,ok,"(200,""{""""X"""": """"y""""}"",x)")' }]);
    } finally {
      await client.query("rollback");
      client.release();
    }
  });

  test.each(["repeatable read", "serializable"])(
    "raises in a %s transaction, which would never see the answer",
    async (level) => {
      const id = await request();
      const client = await db.pool.connect();
      try {
        await client.query(`begin isolation level ${level}; set local statement_timeout = '5s'`);
        await expect(client.query("select net.http_collect_response($1, false)", [id])).rejects.toMatchObject({
          code: "25001",
          message: `a ${level} transaction never sees the response to request ${id}`,
        });
      } finally {
        await client.query("rollback");
        client.release();
      }
    },
  );

  test("net._await_response returns whether there was such a request", async () => {
    const id = await request();
    await db.query(ANSWER, [id, 200, "x", null]);
    expect(await db.query("select net._await_response($1) as known, net._await_response(-1) as unknown", [id])).toEqual(
      [{ known: true, unknown: false }],
    );
  });
});

describe("net.http_replay", () => {
  test("puts a dead letter back as it was, with its id and all its tries", async () => {
    const [made] = await db.query<{ id: string }>(
      `select net.http_request('PUT', 'http://h/', 'text', headers := '{"X": "y"}', deduplication_key := 'k', max_attempts := 3) as id`,
    );
    const columns =
      "id, method::text, url, headers, body, timeout_milliseconds, attempts, next_attempt_at, deduplication_key, options";
    const before = await db.query(`select ${columns} from net.http_request_queue`);
    await db.query(DIE, [made?.id, "connect", "Couldn't connect to server", null]);
    expect(await db.query("select net.http_replay($1) as id", [made?.id])).toEqual([made]);
    expect(await db.query(`select ${columns} from net.http_request_queue`)).toEqual(before);
    expect(await db.query("select from net.http_dead_letter")).toEqual([]);
  });

  test("puts the latest back of several with the same id", async () => {
    await db.query(`insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts, died)
      select 7, 'GET', url, 1, now(), 1, died::timestamptz
      from (values ('http://second/', '2026-02-01'), ('http://third/', '2026-03-01'), ('http://first/', '2026-01-01')) as letter (url, died)`);
    await db.query("select net.http_replay(7)");
    expect(await db.query("select url from net.http_request_queue")).toEqual([{ url: "http://third/" }]);
    expect(await db.query("select url from net.http_dead_letter order by died")).toEqual([
      { url: "http://first/" },
      { url: "http://second/" },
    ]);
  });

  test("P2: moves none but that one, also where a table that inherits has others at the same places", async () => {
    await db.query("create table public.archive () inherits (net.http_dead_letter)");
    try {
      for (const [table, first] of [
        ["net.http_dead_letter", 1],
        ["public.archive", 11],
      ] as const) {
        await db.query(
          `insert into ${table} (id, method, url, timeout_milliseconds, created, attempts)
          select id, 'GET', 'http://h/' || id, 1, now(), 1 from generate_series($1::int, $1 + 2) id`,
          [first],
        );
      }
      await db.query("select net.http_replay(2), net.http_replay(13)");
      expect(await db.query("select id::int, url from net.http_request_queue order by id")).toEqual([
        { id: 2, url: "http://h/2" },
        { id: 13, url: "http://h/13" },
      ]);
      expect(await db.query("select id::int from net.http_dead_letter order by id")).toEqual(
        [1, 3, 11, 12].map((id) => ({ id })),
      );
    } finally {
      await db.query("drop table public.archive");
    }
  });

  test("says when there is none", async () => {
    await expect(db.query("select net.http_replay(7)")).rejects.toMatchObject({
      code: "P0002",
      message: "no dead letter with id 7",
    });
  });
});
