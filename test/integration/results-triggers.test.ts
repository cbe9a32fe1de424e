import { describe, expect, test } from "vitest";

import { systemClock } from "../../src/base/clock.ts";
import { openPool } from "../../src/pg/pool.ts";
import type { Completion } from "../../src/results/completion.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { answer, drained, enqueue, responses, session, setUp, startWriter, waiting } from "../support/result-writer.ts";

/** Time passes five times as fast: what is tried again after five seconds is so after one. */
const FAST = {
  now: () => systemClock.now() * 2,
  sleep: (ms: number, signal: AbortSignal) => systemClock.sleep(ms / 2, signal),
};

/** An answer of `host`. */
function answerOf(host: string, id: bigint, content: string): Completion {
  const completion = answer(id, { content: Buffer.from(content) });
  return { ...completion, request: { ...completion.request, url: `http://${host}/` } };
}

/** A trigger that does `what` for answers that `when` says. */
async function addTrigger(db: TestDatabase, what: string, when = "new.content = 'bad'"): Promise<void> {
  await db.query(`
    create table public.app (id int primary key); insert into public.app values (1);
    create function public.fail() returns trigger language plpgsql as $$ begin ${what}; return new; end $$;
    create trigger fail before insert on net._http_response for each row when (${when}) execute function public.fail()`);
}

/** Of each kind one: which codes are taken so is said in the unit tests of outages. */
const FAILING = [
  ["42P01", "insert into public.gone values (1)"],
  ["PT409", "raise sqlstate 'PT409'"],
  ["XX000", "raise internal_error"],
] as const;

describe("triggers of others on net._http_response", () => {
  test.each(FAILING)(
    "P2 P6 one that fails with %s makes error rows of the answers that it fails for, and of no other",
    async (code, what) => {
      await using t = await setUp();
      await addTrigger(t.database, what);
      const ids = await enqueue(t.database, 200);
      const bad = new Set([ids[0], ids[57], ids[58], ids[199]]);
      for (const [index, id] of ids.entries())
        t.writer.write(answerOf(`h${index % 3}`, id, bad.has(id) ? "bad" : "good"), null);
      await drained(t.writer);
      const rows = await responses(t.database);
      expect(rows).toHaveLength(200);
      const refused = rows.filter(({ error_msg }) => error_msg !== null);
      expect(refused.map(({ id }) => BigInt(String(id)))).toEqual([...bad]);
      expect(refused[0]).toMatchObject({
        content: null,
        error_msg: expect.stringMatching(/^The answer \(status 200\) could not be stored: /) as unknown,
      });
      expect(t.told.writable).toEqual([]);
      expect(t.told.lines.map(({ level, code: said }) => [level, said])).toEqual([["warn", code]]);
    },
  );

  test("P2 P6 one that fails for an answer and for its error row, too, holds up that one alone, which is stored whole when the trigger is mended", async () => {
    await using t = await setUp({ clock: FAST });
    const ids = await enqueue(t.database, 20);
    await addTrigger(t.database, "insert into public.gone values (1)", `new.id = ${ids[7]}`);
    for (const id of ids) t.writer.write(answerOf("a", id, `content of ${id}`), null);
    await eventually(() => t.told.settled.length === 19);
    expect((await waiting(t.database)).map(({ id }) => BigInt(id))).toEqual([ids[7]]);
    await t.database.query("create table public.gone (id int)");
    await drained(t.writer);
    expect((await responses(t.database)).map(({ content, error_msg }) => [content, error_msg])).toEqual(
      ids.map((id) => [`content of ${id}`, null]),
    );
    expect(t.told.writable).toEqual([]);
  });

  test.each([
    ["55P03", "perform from public.app for update nowait"],
    [
      "40001",
      "begin perform from public.app for update nowait; exception when lock_not_available then raise serialization_failure; end",
    ],
    [
      "40P01",
      "begin perform from public.app for update nowait; exception when lock_not_available then raise deadlock_detected; end",
    ],
  ])(
    "P2 P6 what it fails for with %s, since others hold a lock, is stored whole when they do not, and nobody else waits",
    async (code, what) => {
      await using t = await setUp({ clock: FAST });
      await addTrigger(t.database, what);
      await using other = await session(t.database);
      await other.query("begin; select from public.app for update");
      const ids = await enqueue(t.database, 50);
      for (const [index, id] of ids.entries())
        t.writer.write(answerOf(index === 9 ? "b" : "a", id, index === 9 ? "bad" : "good"), null);
      await eventually(() => t.told.settled.length === 49);
      await eventually(() => t.told.lines.some(({ level }) => level === "warn"));
      expect(t.told.lines.find(({ level }) => level === "warn")).toMatchObject({ code });
      await other.query("commit");
      await drained(t.writer);
      expect((await responses(t.database)).map(({ content }) => content)).toEqual(
        ids.map((_, index) => (index === 9 ? "bad" : "good")),
      );
      expect(t.told.writable).toEqual([]);
    },
  );

  test("P2 P6 what it waits for until the statement times out is stored whole when the lock ends, and others are stored meanwhile", async () => {
    await using t = await setUp();
    await addTrigger(t.database, "perform from public.app for update");
    await using pool = openPool({ url: t.database.url, size: 3, statementTimeoutMs: 2_000 });
    const told: unknown[] = [];
    const settled: bigint[] = [];
    await using writer = startWriter({
      db: pool,
      listener: {
        settled: (all) => settled.push(...all.map(({ request }) => request.id)),
        gone: () => {},
        writable: (why) => told.push(why),
      },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      clock: FAST,
      signal: t.kill.signal,
    });
    await using other = await session(t.database);
    await other.query("begin; select from public.app for update");
    const ids = await enqueue(t.database, 300);
    const isBad = (index: number): boolean => index % 60 === 5;
    for (const [index, id] of ids.entries())
      writer.write(answerOf(isBad(index) ? "b" : `h${index % 7}`, id, isBad(index) ? "bad" : "good"), null);
    await eventually(() => settled.length === 295, 20_000);
    const late = await enqueue(t.database, 10);
    for (const id of late) writer.write(answerOf("h1", id, "good"), null);
    await eventually(() => settled.length === 305);
    expect(told).toEqual([]);
    await other.query("commit");
    await drained(writer);
    const contents = (await responses(t.database)).map(({ content }) => content);
    expect([contents.length, contents.filter((content) => content === "bad").length]).toEqual([310, 5]);
    expect(told).toEqual([]);
  });

  test("P2 a lock on the table itself is an outage, in which nothing is lost", async () => {
    await using t = await setUp();
    await using pool = openPool({ url: t.database.url, size: 3, statementTimeoutMs: 2_000 });
    const told: boolean[] = [];
    await using writer = startWriter({
      db: pool,
      listener: { settled: () => {}, gone: () => {}, writable: (why) => told.push(why === null) },
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
      clock: systemClock,
      signal: t.kill.signal,
    });
    await using other = await session(t.database);
    await other.query("begin; lock table net._http_response in access exclusive mode");
    const ids = await enqueue(t.database, 20);
    for (const id of ids) writer.write(answer(id), null);
    await eventually(() => told.length === 1);
    await other.query("commit");
    await drained(writer);
    expect(told).toEqual([false, true]);
    expect((await responses(t.database)).map(({ content }) => content)).toEqual(ids.map(String));
  });

  test("P6 while answers of one host wait for a lock in a trigger, requests to others start, and are answered", async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    receiver.behave(({ path }) => ({ kind: "answer", body: path === "/bad" ? "bad" : "good" }));
    await addTrigger(db, "perform from public.app for update");
    await using daemon = await startInProcess(db.url, { PGNETD_STATEMENT_TIMEOUT_MS: "1000" });
    await using other = await session(db);
    await other.query("begin; select from public.app for update");
    const stored = async (): Promise<number> => (await db.query("select from net._http_response")).length;
    await db.query("select net.http_get($1)", [receiver.url("/bad").replace("127.0.0.1", "localhost")]);
    for (let round = 1; round <= 5; round++) {
      await db.query("select net.http_get($1) from generate_series(1, 10)", [receiver.url("/")]);
      await eventually(async () => (await stored()) === 10 * round, 20_000);
    }
    expect(receiver.requests).toHaveLength(51);
    await eventually(() =>
      daemon.lines.some(({ message }) => String(message).startsWith("answers could not be stored for now")),
    );
    const ready = await fetch(`${daemon.address}/readyz`);
    expect(ready.status).toBe(200);
    await other.query("commit");
    await eventually(async () => (await stored()) === 51, 30_000);
    expect(await db.query("select content from net._http_response where content = 'bad'")).toHaveLength(1);
    expect(daemon.lines.filter(({ message }) => String(message).startsWith("results cannot be written"))).toEqual([]);
  });
});
