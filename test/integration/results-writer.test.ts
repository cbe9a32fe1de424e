import { describe, expect, test } from "vitest";

import type { Completion } from "../../src/results/completion.ts";
import type { Inserter } from "../../src/pg/snapshot.ts";
import { lowXid } from "../../src/pg/xid.ts";
import { eventually } from "../support/eventually.ts";
import {
  answer,
  CREATED,
  enqueue,
  failure,
  drained,
  requestOf,
  responses,
  session,
  setUp,
  waiting,
} from "../support/result-writer.ts";

function inserter(xid: string | undefined, history = new AbortController().signal): Inserter {
  return { xid: lowXid(BigInt(xid ?? 0)), history };
}

describe("P10 completions in the database", () => {
  test("P10 an answer is a row in both tables, and the outbox row goes", async () => {
    await using t = await setUp();
    const [id = 0n] = await enqueue(t.database);
    const headers = [
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
    ] as const;
    t.writer.write(
      answer(id, { status: 201, headers, contentType: "text/x", content: Buffer.from("a\0\u00e9") }),
      null,
    );
    await drained(t.writer);
    expect(await waiting(t.database)).toEqual([]);
    expect(await responses(t.database)).toMatchObject([
      {
        id: String(id),
        status_code: 201,
        content_type: "text/x",
        headers: { "Set-Cookie": "b=2" },
        content: "a\uFFFD\u00e9",
        timed_out: false,
        error_msg: null,
      },
    ]);
    expect(await t.database.query("select * from net.http_response_detail")).toMatchObject([
      {
        id: String(id),
        method: "POST",
        url: "http://a/1",
        attempts: 1,
        error_code: null,
        total_ms: 1,
        response_headers: headers,
        content_bytes: Buffer.from("a\0\u00e9"),
      },
    ]);
    expect(t.told.settled).toEqual([id]);
  });

  test("P10 thousands at once, in order, each once", async () => {
    await using t = await setUp();
    const ids = await enqueue(t.database, 5_000);
    for (const id of ids) t.writer.write(answer(id), null);
    await drained(t.writer);
    expect(await waiting(t.database)).toEqual([]);
    const rows = await t.database.query<{ id: string; content: string }>(
      "select id, content from net._http_response order by id",
    );
    expect(rows).toEqual(ids.map((id) => ({ id: String(id), content: String(id) })));
    expect(t.told.settled.toSorted((a, b) => Number(a - b))).toEqual(ids);
    expect(t.told.writable).toEqual([]);
  });

  test("P2 a dead letter keeps the whole request, and is no answer", async () => {
    await using t = await setUp();
    const [first = 0n, second = 0n] = await enqueue(t.database, 2);
    t.writer.write({ kind: "dead", request: requestOf(first, 2), outcome: failure }, null);
    t.writer.write({ ...answer(second, { status: 503 }), kind: "dead" } as Completion, null);
    await drained(t.writer);
    expect(await waiting(t.database)).toEqual([]);
    expect(await responses(t.database)).toEqual([]);
    expect(await t.database.query("select * from net.http_dead_letter order by id")).toMatchObject([
      {
        id: String(first),
        url: "http://a/1",
        headers: { X: "y" },
        body: Buffer.from("body"),
        attempts: 3,
        error_code: "connect",
        error_msg: "Couldn't connect to server",
        status_code: null,
      },
      { id: String(second), attempts: 1, error_code: null, error_msg: null, status_code: 503 },
    ]);
  });

  test("P2 a deferred row waits by the database's clock; a try counts where there was an outcome", async () => {
    await using t = await setUp();
    const [tried = 0n, held = 0n] = await enqueue(t.database, 2);
    t.writer.write({ kind: "deferred", request: requestOf(tried, 4), outcome: failure, delayMs: 60_000 }, null);
    t.writer.write({ kind: "deferred", request: requestOf(held), outcome: null, delayMs: 1_500.5 }, null);
    await drained(t.writer);
    const rows = await t.database.query<{ id: string; attempts: number; inMs: number }>(
      `select id, attempts, extract(epoch from next_attempt_at - now())::float8 * 1000 as "inMs" from net.http_request_queue order by id`,
    );
    expect(rows.map(({ id, attempts }) => [BigInt(id), attempts])).toEqual([
      [tried, 5],
      [held, 0],
    ]);
    expect(rows[0]?.inMs).toBeGreaterThan(50_000);
    expect(rows[1]?.inMs).toBeLessThan(1_600);
  });

  test("P3: what a former leader defers late sets neither the tries nor the time back that its successor wrote", async () => {
    await using t = await setUp();
    const [id = 0n] = await enqueue(t.database, 1);
    const deferred = async (attempts: number, delayMs: number): Promise<readonly [number | undefined, boolean]> => {
      t.writer.write({ kind: "deferred", request: requestOf(id, attempts), outcome: failure, delayMs }, null);
      await drained(t.writer);
      const [row] = await t.database.query<{ attempts: number; later: boolean }>(
        "select attempts, next_attempt_at > now() + '1 minute' as later from net.http_request_queue",
      );
      return [row?.attempts, row?.later ?? false];
    };
    expect(await deferred(1, 1_000)).toEqual([2, false]);
    expect(await deferred(0, 120_000)).toEqual([2, false]);
    expect(await deferred(1, 120_000)).toEqual([2, false]);
    expect(await deferred(2, 120_000)).toEqual([3, true]);
    t.writer.write({ kind: "deferred", request: requestOf(id, 0), outcome: null, delayMs: 1_000 }, null);
    await drained(t.writer);
    expect(
      await t.database.query(
        "select attempts, next_attempt_at > now() + '1 minute' as later from net.http_request_queue",
      ),
    ).toEqual([{ attempts: 3, later: true }]);
  });
});

describe("P2 rows that are not found", () => {
  test("P2 a row that its owner deleted gives no response and is settled", async () => {
    await using t = await setUp();
    const ids = await enqueue(t.database, 3);
    await t.database.query("delete from net.http_request_queue where id = $1", [ids[1]]);
    for (const id of ids) t.writer.write(answer(id), null);
    await drained(t.writer);
    expect((await responses(t.database)).map((row) => BigInt(String(row["id"])))).toEqual([ids[0], ids[2]]);
    expect(t.told.settled).toEqual(ids);
    expect(t.told.gone).toBe(1);
  });

  test.each(["answered", "dead", "deferred"] as const)(
    "P2 a row that has the id of another now is not taken for it: %s",
    async (kind) => {
      await using t = await setUp();
      const [first = 0n, second = 0n] = await enqueue(t.database, 2);
      await t.database.query("update net.http_request_queue set created = created + '1 microsecond' where id = $1", [
        first,
      ]);
      for (const id of [first, second]) {
        t.writer.write({ kind, request: requestOf(id), outcome: failure, delayMs: 60_000 }, null);
      }
      await drained(t.writer);
      expect(t.told).toMatchObject({ settled: [first, second], gone: 1 });
      const untouched = { id: String(first), attempts: 0, next_attempt_at: null };
      expect((await t.database.query("select * from net.http_request_queue order by id"))[0]).toMatchObject(untouched);
      const left = await t.database.query(
        "select id from net._http_response union all select id from net.http_dead_letter",
      );
      expect(left).toEqual(kind === "deferred" ? [] : [{ id: String(second) }]);
    },
  );

  test("P3 an answer written twice is one response", async () => {
    await using t = await setUp();
    const [id = 0n] = await enqueue(t.database);
    t.writer.write(answer(id), null);
    t.writer.write(answer(id), null);
    await drained(t.writer);
    t.writer.write(answer(id), null);
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(1);
  });

  test.each(["commit", "rollback"])(
    "P2 awaitVisibility: not settled before its transaction is visible, then by its %s",
    async (end) => {
      await using t = await setUp();
      await using other = await session(t.database);
      await other.query("begin");
      const { rows } = await other.query<{ id: string; xid: string }>(
        `insert into net.http_request_queue (method, url, timeout_milliseconds, created)
         values ('GET', 'http://a/', 1, '${CREATED}') returning id, pg_current_xact_id()::text as xid`,
      );
      const [row = { id: "0", xid: "0" }] = rows;
      t.writer.write(answer(BigInt(row.id)), inserter(row.xid));
      t.writer.write({ kind: "deferred", request: requestOf(BigInt(row.id)), outcome: null, delayMs: 1 }, null);
      await t.writer.drained(AbortSignal.timeout(400));
      expect(t.told.settled).toEqual([BigInt(row.id)]);
      await other.query(end);
      await drained(t.writer);
      expect(t.told.settled).toHaveLength(2);
      expect(await waiting(t.database)).toEqual([]);
      expect(await responses(t.database)).toHaveLength(end === "commit" ? 1 : 0);
    },
  );

  test("P2 awaitVisibility: not after a failover: what the other server has not, it lost", async () => {
    await using t = await setUp();
    const history = new AbortController();
    t.writer.write(answer(1n), inserter("2000000000", history.signal));
    await t.writer.drained(AbortSignal.timeout(400));
    expect(t.told.settled).toEqual([]);
    history.abort();
    await drained(t.writer);
    expect(t.told).toMatchObject({ settled: [1n], gone: 1 });
  });

  test("P2 awaitVisibility: many wait with one look at a time, and others go on meanwhile", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    await other.query("begin");
    const unseen = await enqueue(
      { query: async (text, values) => (await other.query(text, values)).rows as never },
      1_200,
    );
    const { rows } = await other.query<{ xid: string }>("select pg_current_xact_id()::text as xid");
    const insertedBy = inserter(rows[0]?.xid);
    const seen = await enqueue(t.database, 10);
    for (const id of unseen) t.writer.write(answer(id), insertedBy);
    for (const id of seen) t.writer.write(answer(id), insertedBy);
    await eventually(() => t.told.settled.length === 10);
    await other.query("commit");
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(1_210);
    expect(await waiting(t.database)).toEqual([]);
  });

  test("P9 a row locked by a caller's open transaction holds up only itself", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    const ids = await enqueue(t.database, 20);
    await other.query("begin");
    await other.query("delete from net.http_request_queue where id = any ($1)", [[ids[3], ids[4]]]);
    for (const id of ids) t.writer.write(answer(id), null);
    await eventually(() => t.told.settled.length === 18);
    expect(t.told.writable).toEqual([]);
    await other.query("rollback");
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(20);
  });
});

describe("stopping", () => {
  test("closing waits for what is on its way, and takes no more", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    const [first = 0n, second = 0n] = await enqueue(t.database, 2);
    await other.query("begin; lock table net._http_response in access exclusive mode");
    t.writer.write(answer(first), null);
    await eventually(
      async () =>
        (
          await t.database.query(
            "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
          )
        ).length > 0,
    );
    const closed = t.writer[Symbol.asyncDispose]();
    t.writer.write(answer(second), null);
    await other.query("commit");
    await closed;
    expect(t.told.settled).toEqual([first]);
    expect(await waiting(t.database)).toEqual([{ id: String(second) }]);
  });

  test("the signal gives up at once, and drained with it", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    await other.query("begin; lock table net._http_response in access exclusive mode");
    const [id = 0n] = await enqueue(t.database);
    t.writer.write(answer(id), null);
    const settled = drained(t.writer);
    t.kill.abort();
    await settled;
    await t.writer[Symbol.asyncDispose]();
    expect(t.told.settled).toEqual([]);
    await other.query("rollback");
  });
});
