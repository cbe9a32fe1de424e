import { expect, test } from "vitest";

import type { Statement } from "../../src/pg/pool.ts";
import type { Completion } from "../../src/results/completion.ts";
import { openResultWriter } from "../../src/results/writer.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { answer } from "../support/result-writer.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";

const TAKEN = { rows: [{ snapshot: "10:10:", missing: [], locked: [], kept: [] }] as never[], rowCount: 1 };

/** The ids of a statement: 20 bytes before the elements of an array, and 4 before each int8. */
function idsOf({ values: [ids] = [] }: Statement): bigint[] {
  if (!Buffer.isBuffer(ids)) return [];
  return Array.from({ length: Math.floor((ids.length - 20) / 12) }, (_, index) => ids.readBigInt64BE(24 + 12 * index));
}

const failing = (code: string, message = "failed"): Error => Object.assign(new Error(message), { code });

function answerOf(host: string, id: bigint): Completion {
  const completion = answer(id);
  return { ...completion, request: { ...completion.request, url: `http://${host}/` } };
}

/** A writer for a database that does `query` with each statement, those without rows included. */
function open(query: (statement: Statement, clock: FakeClock) => Promise<typeof TAKEN>) {
  const clock = new FakeClock();
  const settled: bigint[] = [];
  const writable: (string | null)[] = [];
  const lines: string[] = [];
  const line = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const writer = openResultWriter({
    db: { query: (statement) => query(statement, clock) },
    listener: {
      settled: (all) => void settled.push(...all.map(({ request }) => request.id)),
      gone: () => {},
      writable: (why) => void writable.push(why),
    },
    clock,
    log: { ...silentLog, warn: line, error: line },
    signal: new AbortController().signal,
  });
  const end = new AbortController();
  const ended = writer.run(end.signal);
  return {
    writer,
    clock,
    settled,
    writable,
    lines,
    /** Lets `ms` pass, in steps of 10. */
    async pass(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += 10) {
        await turn();
        clock.advance(10);
      }
      await turn();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      end.abort();
      await writer[Symbol.asyncDispose]();
      await ended;
    },
  };
}

test("P6: an outage is over when others are written, though an answer of a doubtful host waits in its statement", async () => {
  const waits = Promise.withResolvers<typeof TAKEN>();
  let isCut = false;
  await using t = open(async (statement) => {
    const ids = idsOf(statement);
    if (ids.includes(1n)) return ids.length > 1 ? Promise.reject(failing("57014")) : waits.promise;
    if (ids.includes(3n) && !isCut) {
      isCut = true;
      throw failing("ECONNRESET");
    }
    return TAKEN;
  });
  t.writer.write(answerOf("bad", 1n), null);
  t.writer.write(answerOf("bad", 2n), null);
  await t.pass(100);
  t.writer.write(answerOf("good", 3n), null);
  await t.pass(100);
  expect(t.settled).toEqual([3n]);
  expect(t.writable).toEqual([expect.stringContaining("failed"), null]);
  waits.resolve(TAKEN);
  await t.pass(20);
  expect(t.settled).toEqual([3n, 1n, 2n]);
});

test("P6: while an outage lasts, others are tried before doubtful hosts, whose statements end sooner", async () => {
  const tried: [bigint[], number | undefined][] = [];
  let isDown = false;
  await using t = open(async (statement) => {
    const ids = idsOf(statement);
    if (ids.length > 0) tried.push([ids, statement.timeoutMs]);
    if (isDown) throw failing("ECONNREFUSED");
    if (ids.includes(1n)) throw failing("57014");
    return TAKEN;
  });
  t.writer.write(answerOf("bad", 1n), null);
  await t.pass(20);
  expect(tried).toEqual([
    [[1n], undefined],
    [[1n], 5_000],
  ]);
  isDown = true;
  t.writer.write(answerOf("bad", 2n), null);
  await t.pass(20);
  t.writer.write(answerOf("good", 3n), null);
  tried.length = 0;
  await t.pass(1_000);
  expect(tried.length).toBeGreaterThan(1);
  expect(tried.filter(([ids]) => !ids.includes(3n))).toEqual([]);
  t.writer.write(answerOf("bad", 4n), null);
  isDown = false;
  await t.pass(2_000);
  expect(t.settled).toEqual([3n, 2n, 4n]);
  isDown = true;
  t.writer.write(answerOf("bad", 5n), null);
  await t.pass(20);
  tried.length = 0;
  await t.pass(500);
  expect(tried.length).toBeGreaterThan(1);
  expect(new Set(tried.map(([, timeoutMs]) => timeoutMs))).toEqual(new Set([2_000]));
});

test("P11: where the database takes no statement, that is said, not what a trigger raised for a row", async () => {
  await using t = open(async (statement) => {
    throw idsOf(statement).length > 0 ? failing("PT409", "cannot take secret") : failing("ECONNREFUSED", "refused");
  });
  t.writer.write(answer(1n), null);
  await t.pass(200);
  expect(t.writable).toEqual([expect.stringContaining("refused")]);
  expect(t.lines).toEqual([expect.stringContaining("ECONNREFUSED")]);
  expect([...t.lines, ...t.writable].join("")).not.toContain("secret");
});

test("P11: a database that does not answer in time is said to be so", async () => {
  await using t = open(async (statement, clock) => {
    if (idsOf(statement).length > 0) throw failing("PT409", "cannot take secret");
    await clock.sleep(10_000, new AbortController().signal);
    return TAKEN;
  });
  t.writer.write(answer(1n), null);
  await t.pass(2_100);
  expect(t.writable).toEqual([expect.stringContaining("does not answer within 2 seconds")]);
  expect([...t.lines, ...t.writable].join("")).not.toContain("secret");
});

test("P6: a row of a doubtful host that takes long makes the batches of nobody else smaller", async () => {
  const sizes: number[] = [];
  await using t = open(async (statement, clock) => {
    const ids = idsOf(statement);
    if (ids.includes(1n)) {
      if (ids.length === 1) clock.advance(6_000);
      throw failing("57014");
    }
    if (ids.length > 0) sizes.push(ids.length);
    return TAKEN;
  });
  t.writer.write(answerOf("bad", 1n), null);
  t.writer.write(answerOf("other", 2n), null);
  await t.pass(100);
  for (let id = 3n; id < 403n; id++) t.writer.write(answerOf("good", id), null);
  await t.pass(100);
  expect(sizes).toEqual([1, 400]);
  expect(t.writable).toEqual([]);
});

test.each([
  ["that a trigger keeps in the outbox is said to be kept", ["1"], 1],
  ["that others lock again and again is not", [], 0],
])("a row %s", async (_what, kept, said) => {
  await using t = open(async (statement) => {
    if (idsOf(statement).length > 0 && statement.name === "pgnetd_answered")
      return { rows: [{ snapshot: "10:10:", missing: ["1"], locked: ["1"], kept }] as never[], rowCount: 1 };
    return { rows: [], rowCount: 0 };
  });
  t.writer.write(answer(1n), null);
  await t.pass(3_000);
  expect(t.lines.filter((line) => line.startsWith("answers cannot be stored"))).toHaveLength(said);
  expect(t.settled).toEqual([]);
});
