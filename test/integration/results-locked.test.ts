import { describe, expect, test } from "vitest";

import { systemClock } from "../../src/base/clock.ts";
import type { Queryable, Statement } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { answer, enqueue, drained, responses, session, setUp, waiting, startWriter } from "../support/result-writer.ts";
import { silentLog } from "../support/silent-log.ts";

const LARGE = Buffer.alloc(2_000_000, "x");

/** True for a statement that brings a large answer. */
function isLarge({ values }: Statement): boolean {
  return values?.some((value) => Buffer.isBuffer(value) && value.length >= LARGE.length) === true;
}

const deaf = { settled: () => {}, gone: () => {}, writable: () => {} };

describe("rows that a caller's transaction has locked", () => {
  test("P5 P6 their answers are not sent to the database again and again, and stored when the lock ends", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    let sent = 0;
    let statements = 0;
    const counting: Queryable = {
      query: async (statement) => {
        statements += 1;
        if (isLarge(statement)) sent += 1;
        return t.pool.query(statement);
      },
    };
    await using writer = startWriter({
      db: counting,
      listener: deaf,
      log: silentLog,
      clock: systemClock,
      signal: t.kill.signal,
    });
    const [id = 0n] = await enqueue(t.database);
    await other.query("begin; select from net.http_request_queue for update");
    writer.write(answer(id, { content: LARGE }), null);
    await eventually(() => statements >= 5);
    expect(sent).toBe(1);
    await other.query("commit");
    await drained(writer);
    expect(await responses(t.database)).toMatchObject([{ content: LARGE.toString() }]);
  });

  test("P2 a row that the transaction deletes gives no response, one that it only locked does", async () => {
    await using t = await setUp();
    await using other = await session(t.database);
    const ids = await enqueue(t.database, 3);
    await other.query("begin; select from net.http_request_queue for update");
    await other.query("delete from net.http_request_queue where id = $1", [ids[1]]);
    for (const id of ids) t.writer.write(answer(id), null);
    await t.writer.drained(AbortSignal.timeout(300));
    expect(t.told.settled).toEqual([]);
    await other.query("commit");
    await drained(t.writer);
    expect((await responses(t.database)).map((row) => BigInt(String(row["id"])))).toEqual([ids[0], ids[2]]);
    expect(await waiting(t.database)).toEqual([]);
    expect(new Set(t.told.settled)).toEqual(new Set(ids));
    expect(t.told.gone).toBe(1);
  });

  test("P2 thousands of locked rows are all stored when the locks end, one by one", async () => {
    await using t = await setUp();
    await using one = await session(t.database);
    await using other = await session(t.database);
    const ids = await enqueue(t.database, 3_000);
    await one.query("begin; select from net.http_request_queue where id % 2 = 0 for update");
    await other.query("begin; select from net.http_request_queue where id % 2 = 1 for update");
    for (const id of ids) t.writer.write(answer(id), null);
    await t.writer.drained(AbortSignal.timeout(300));
    expect(t.told.settled).toEqual([]);
    await one.query("commit");
    await eventually(() => t.told.settled.length === 1_500);
    expect(t.told.settled.every((id) => id % 2n === 0n)).toBe(true);
    await other.query("rollback");
    await drained(t.writer);
    expect(await responses(t.database)).toHaveLength(3_000);
  });

  test("P2 an answer larger than a batch is given up for long failures alone, not for a locked row and one of them", async () => {
    let laterMs = 0;
    let statements = 0;
    let failures = 0;
    await using t = await setUp();
    await using other = await session(t.database);
    const slow: Queryable = {
      query: async (statement) => {
        statements += 1;
        if (statements < 4 || failures > 0 || !isLarge(statement)) return t.pool.query(statement);
        failures += 1;
        laterMs += 20_000;
        throw new Error("Query read timeout");
      },
    };
    await using writer = startWriter({
      db: slow,
      listener: deaf,
      log: silentLog,
      clock: { now: () => systemClock.now() + laterMs, sleep: (ms, signal) => systemClock.sleep(ms, signal) },
      maxBatchBytes: 1_000_000,
      signal: t.kill.signal,
    });
    const [id = 0n] = await enqueue(t.database);
    await other.query("begin; select from net.http_request_queue for update");
    writer.write(answer(id, { content: LARGE }), null);
    await eventually(() => statements >= 4);
    await other.query("commit");
    await drained(writer);
    expect(failures).toBe(1);
    expect(await responses(t.database)).toMatchObject([{ error_msg: null, content: LARGE.toString() }]);
  });
});

test("a deadlock with a caller's truncate is tried again at once, and is no error", async () => {
  await using t = await setUp();
  await using other = await session(t.database);
  const ids = await enqueue(t.database, 20);
  const waits = async (): Promise<boolean> => {
    const found = await t.database.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
       and application_name like 'pgnetd%'`,
    );
    return found.length > 0;
  };
  // The server ends who looks for a deadlock first: the writer, after three seconds.
  await t.database.query(`alter database ${t.database.name} set deadlock_timeout = '3s'`);
  await other.query("set deadlock_timeout = '60s'; begin; truncate net._http_response");
  for (const id of ids) t.writer.write(answer(id), null);
  await eventually(waits);
  await other.query(
    "select from net.http_request_queue limit 1; lock table net.http_request_queue in access exclusive mode",
  );
  await other.query("rollback");
  await drained(t.writer);
  expect(await responses(t.database)).toHaveLength(20);
  expect(t.told.writable).toEqual([]);
  expect(t.told.lines.map(({ level, message }) => [level, message])).toEqual([
    ["info", "results are written again after a deadlock with another session"],
  ]);
});

test("P2 P6 rows that a trigger of their owner keeps in the outbox are tried less and less often, which is said, and stored when it lets them go", async () => {
  await using t = await setUp();
  await t.database.query(`create function public.kept() returns trigger language plpgsql as 'begin return new; end'`);
  await t.database.query(
    "create trigger kept before insert or update or delete on net.http_request_queue for each row execute function public.kept()",
  );
  let statements = 0;
  const db: Queryable = {
    query: async (statement) => {
      statements += 1;
      return t.pool.query(statement);
    },
  };
  const lines: string[] = [];
  const log = { ...silentLog, warn: (_fields: object, message: string) => void lines.push(message) };
  await using writer = startWriter({ db, listener: deaf, log, clock: systemClock, signal: t.kill.signal });
  const ids = await enqueue(t.database, 3);
  for (const id of ids) writer.write(answer(id), null);
  await eventually(() => lines.length === 1);
  const before = statements;
  await t.database.query("drop trigger kept on net.http_request_queue");
  await drained(writer);
  expect((await responses(t.database)).map((row) => BigInt(String(row["id"])))).toEqual(ids);
  expect(lines).toEqual(["answers cannot be stored: nobody locks their rows, and they stay in the outbox"]);
  expect(statements - before).toBeLessThan(5);
});
