import { describe, expect, test } from "vitest";

import { systemClock } from "../../src/base/clock.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import {
  answer,
  enqueue,
  failure,
  drained,
  requestOf,
  responses,
  session,
  setUp,
  waiting,
  startWriter,
} from "../support/result-writer.ts";
import { openTestPool } from "../support/pool.ts";
import { silentLog } from "../support/silent-log.ts";

describe("failed writes", () => {
  test("P2 the session ended from outside: kept, said once, written again", async () => {
    await using t = await setUp();
    const ids = await enqueue(t.database, 40);
    await using other = await session(t.database);
    await other.query("begin; lock table net._http_response in access exclusive mode");
    for (const id of ids) t.writer.write(answer(id), null);
    await eventually(
      async () =>
        (
          await t.database.query(
            "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
          )
        ).length > 0,
    );
    await t.database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgnetd (pg_net)' and datname = current_database()",
    );
    await eventually(() => t.told.writable.length > 0);
    await other.query("commit");
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(40);
    expect(t.told.writable).toEqual([false, true]);
    expect(t.told.lines.map(({ level, code }) => [level, code])).toEqual([
      ["error", "57P01"],
      ["info", undefined],
    ]);
  });

  test.each([
    {
      what: "a right lost",
      code: "42501",
      harm: "revoke insert on net._http_response from pgnetd_test_writer",
      mend: "grant insert on net._http_response to pgnetd_test_writer",
    },
    {
      what: "a table gone",
      code: "42P01",
      harm: "alter table net._http_response rename to away",
      mend: "alter table net.away rename to _http_response",
    },
  ])("P2 $what: nothing is lost, said once, goes on by itself", async ({ code, harm, mend }) => {
    await using t = await setUp();
    await t.database.query(
      `do $$ begin create role pgnetd_test_writer; exception when duplicate_object or unique_violation then null; end $$`,
    );
    await t.database.query(
      "revoke all on net._http_response from public; grant all on all tables in schema net to pgnetd_test_writer",
    );
    const client = openTestPool({ connectionString: t.database.url, options: "-c role=pgnetd_test_writer", max: 2 });
    const told: boolean[] = [];
    const lines: unknown[] = [];
    const log = {
      ...silentLog,
      error: (fields: Readonly<Record<string, unknown>>) => void lines.push(fields["code"]),
    };
    {
      await using writer = startWriter({
        db: client,
        listener: { settled: () => {}, gone: () => {}, writable: (why) => told.push(why === null) },
        log,
        clock: systemClock,
        signal: new AbortController().signal,
      });
      await t.database.query(harm);
      const ids = await enqueue(t.database, 5);
      for (const id of ids) writer.write(answer(id), null);
      await writer.drained(AbortSignal.timeout(600));
      expect(told).toEqual([false]);
      expect(lines).toEqual([code]);
      await t.database.query(mend);
      await drained(writer);
      expect(told).toEqual([false, true]);
      expect(await responses(t.database)).toHaveLength(5);
    }
    await client.end();
    await t.database.query("drop owned by pgnetd_test_writer");
  });

  test("another reason why results cannot be written is told in place of the one before", async () => {
    const told: (string | null)[] = [];
    const writable = (why: string | null): void => void told.push(why);
    await using t = await setUp({ listener: { settled: () => {}, gone: () => {}, writable } });
    await t.database.query(
      `create function full_disk() returns trigger language plpgsql as
        $$ begin raise 'No space left on device' using errcode = 'disk_full'; end $$;
      create trigger full_disk before insert on net._http_response execute function full_disk()`,
    );
    const [id = 0n] = await enqueue(t.database);
    t.writer.write(answer(id), null);
    await eventually(() => told.length === 1);
    await t.database.query("drop function full_disk cascade; alter table net._http_response rename to away");
    await eventually(() => told.length === 2);
    await t.database.query("alter table net.away rename to _http_response");
    await drained(t.writer);
    expect(told).toEqual([
      expect.stringContaining("No space left on device"),
      expect.stringContaining('relation "net._http_response" does not exist'),
      null,
    ]);
  });

  test("P2 a read-only database", async () => {
    await using t = await setUp();
    const [id = 0n] = await enqueue(t.database);
    await t.database.query(`alter database ${t.database.name} set default_transaction_read_only = on`);
    t.writer.write(answer(id), null);
    await eventually(() => t.told.lines.some(({ code }) => code === "25006"));
    await t.database.query(
      "begin read write; do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$; commit",
    );
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(1);
    expect(t.told.writable).toEqual([false, true]);
  });

  test("P2 a row that the database refuses spoils only itself", async () => {
    await using t = await setUp();
    await t.database.query("alter table net._http_response add constraint odd check (status_code <> 418)");
    const ids = await enqueue(t.database, 300);
    const teapots = new Set([ids[0], ids[111], ids[112], ids[299]]);
    let released = 0;
    const memory = { ...UNBOUNDED, release: () => void released++ };
    for (const id of ids) t.writer.write(answer(id, teapots.has(id) ? { status: 418 } : {}), null, memory);
    await drained(t.writer);
    expect(released).toBe(300);
    const rows = await t.database.query<{ id: string; error_msg: string | null }>(
      "select id, error_msg from net._http_response order by id",
    );
    expect(rows).toHaveLength(300);
    const refused = rows.filter(({ error_msg }) => error_msg !== null);
    expect(refused.map(({ id }) => BigInt(id))).toEqual([...teapots]);
    expect(refused[0]?.error_msg).toMatch(/^The answer \(status 418\) could not be stored: .*odd/);
    expect(t.told.writable).toEqual([]);
    expect(t.told.lines.map(({ level, code }) => [level, code])).toEqual([["warn", "23514"]]);
  });

  test("P2 a row refused even so is kept, and holds up no other", async () => {
    await using t = await setUp();
    await t.database.query("alter table net._http_response add constraint odd check (id % 10 <> 0)");
    const ids = await enqueue(t.database, 30);
    for (const id of ids) t.writer.write(answer(id), null);
    await eventually(() => t.told.settled.length === 27);
    expect(await waiting(t.database)).toHaveLength(3);
    expect(t.told.lines).toHaveLength(1);
    expect(t.told.writable).toEqual([]);
  });

  test("P6 while answers are refused even so, no further request to their host starts, and those to others do", async () => {
    await using t = await setUp();
    await t.database.query("alter table net._http_response add constraint odd check (id < 0)");
    const bounds = { bytes: 64 * 1024 ** 2, largest: 10 * 1024 ** 2, inFlight: 256, requests: 10_000 };
    const budget = new AnswerBudget({ bounds, clock: systemClock, onRoom: () => undefined });
    const content = Buffer.alloc(100_000, "x");
    for (const id of await enqueue(t.database, 3))
      t.writer.write(answer(id, { content }), null, budget.open("refused"));
    expect(budget.mayStart("refused")).toBe(true);
    await eventually(() => !budget.mayStart("refused"));
    expect(budget.mayStart("other")).toBe(true);
  });

  test("NUL, lone surrogates and escapes in every text are stored", async () => {
    await using t = await setUp();
    const [first = 0n, second = 0n] = await enqueue(t.database, 2);
    const odd = '\0 \uD800 \\u0000 " \\ \u{1F600}';
    t.writer.write(
      answer(first, {
        headers: [
          [odd, odd],
          [odd, "again"],
        ],
        contentType: odd,
        content: Buffer.from([0, 0xed, 0xa0, 0x80, 0x22, 0x5c]),
      }),
      null,
    );
    t.writer.write(
      { kind: "answered", request: requestOf(second), outcome: { ...failure, message: odd } as Outcome },
      null,
    );
    await drained(t.writer);
    const shown = '\uFFFD \uFFFD \\u0000 " \\ \u{1F600}';
    expect(await responses(t.database)).toMatchObject([
      { headers: { [shown]: "again" }, content_type: shown, error_msg: null },
      { error_msg: shown },
    ]);
    expect(t.told.lines).toEqual([]);
  });

  test("a large answer is stored among others, which do not wait for it", async () => {
    await using t = await setUp();
    const ids = await enqueue(t.database, 40);
    const content = Buffer.alloc(16 * 1024 * 1024, "x");
    const large = new Set([ids[1], ids[2], ids[3]]);
    for (const id of ids) t.writer.write(answer(id, large.has(id) ? { content } : {}), null);
    await drained(t.writer);
    expect(new Set(t.told.settled.slice(0, 37)).isDisjointFrom(large)).toBe(true);
    expect(t.told.writable).toEqual([]);
    const rows = await t.database.query<{ length: number }>(
      "select octet_length(content) as length from net._http_response order by id",
    );
    expect(rows[1]?.length).toBe(content.length);
  });

  test("P2 an answer too large for the database to take in time is reported as such after three tries, and holds up no other", async () => {
    let tries = 0;
    let now = 0;
    await using t = await setUp();
    const slow: Queryable = {
      query: async (statement) => {
        if (!statement.values?.some((value) => Buffer.isBuffer(value) && value.length > 1_000_000))
          return t.pool.query(statement);
        tries += 1;
        now += 20_000;
        throw new Error("Query read timeout");
      },
    };
    const told: boolean[] = [];
    await using writer = startWriter({
      db: slow,
      listener: { settled: () => {}, gone: () => {}, writable: (why) => told.push(why === null) },
      log: silentLog,
      clock: {
        now: () => now,
        sleep: async (ms, signal) => {
          await systemClock.sleep(ms, signal);
          if (Number.isFinite(ms)) now += ms;
        },
      },
      maxBatchBytes: 1_000_000,
      signal: new AbortController().signal,
    });
    const ids = await enqueue(t.database, 3);
    ids.forEach((id, index) =>
      writer.write(answer(id, index === 1 ? { content: Buffer.alloc(2_000_000, "x") } : {}), null),
    );
    await drained(writer);
    expect(tries).toBe(3);
    expect(told).toEqual([]);
    expect(await responses(t.database)).toMatchObject([
      { error_msg: null },
      { status_code: null, error_msg: "The answer (status 200) could not be stored: Query read timeout" },
      { error_msg: null },
    ]);
  });

  test("P2 a server without transaction ids: answers are kept as they are, and written when it has some again", async () => {
    await using t = await setUp();
    let tries = 0;
    const exhausted: Queryable = {
      query: async (statement) => {
        if (++tries > 3) return t.pool.query(statement);
        throw Object.assign(new Error("database is not accepting commands"), {
          code: "54000",
          routine: "GetNewTransactionId",
        });
      },
    };
    const told: (string | null)[] = [];
    await using writer = startWriter({
      db: exhausted,
      listener: { settled: () => {}, gone: () => {}, writable: (why) => void told.push(why) },
      log: silentLog,
      clock: systemClock,
      signal: new AbortController().signal,
    });
    for (const id of await enqueue(t.database, 3)) writer.write(answer(id), null);
    await drained(writer);
    expect(await responses(t.database)).toMatchObject(Array(3).fill({ status_code: 200, error_msg: null }));
    expect(told).toEqual([expect.stringContaining("vacuum the database"), null]);
  });

  test("P3 a commit whose answer was lost is not written twice", async () => {
    let lose = true;
    await using t = await setUp();
    const losing: Queryable = {
      query: async (statement) => {
        const result = await t.pool.query(statement);
        if (lose) {
          lose = false;
          throw Object.assign(new Error("Connection terminated"), { code: "ECONNRESET" });
        }
        return result as never;
      },
    };
    const settled: bigint[] = [];
    await using writer = startWriter({
      db: losing,
      listener: {
        settled: (completions) => settled.push(...completions.map(({ request }) => request.id)),
        gone: () => {},
        writable: () => {},
      },
      log: silentLog,
      clock: systemClock,
      signal: new AbortController().signal,
    });
    const [first = 0n, second = 0n] = await enqueue(t.database, 2);
    writer.write({ kind: "deferred", request: requestOf(first), outcome: failure, delayMs: 1 }, null);
    await drained(writer);
    writer.write(answer(second), null);
    lose = true;
    await drained(writer);
    expect(settled).toEqual([first, second]);
    expect(await t.database.query("select attempts from net.http_request_queue")).toEqual([{ attempts: 1 }]);
    expect(await responses(t.database)).toHaveLength(1);
  });
});
