import { expect, test } from "vitest";
import { SlotWatch } from "../../src/ops/slot-watch.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { silentLog } from "../support/silent-log.ts";
import { STATUS_ROW } from "../support/status-row.ts";
import { turn } from "../support/world-referee.ts";

/** A watch of a database that answers while `answers` says so, and how often it was asked. */
function watched(): {
  readonly watch: SlotWatch;
  readonly clock: FakeClock;
  readonly db: { answers: boolean; asked: number; free: Promise<void> };
} {
  const clock = new FakeClock();
  const db = { answers: true, asked: 0, free: Promise.resolve() };
  const query = async (): Promise<unknown> => {
    db.asked++;
    await db.free;
    if (!db.answers) throw new Error("no connection");
    return { rows: [{ ...STATUS_ROW, outbox_rows: db.asked }], rowCount: 1 };
  };
  const queryable: Queryable = { query: query as Queryable["query"] };
  return { watch: new SlotWatch({ db: queryable, slotName: "pgnetd_app", clock, log: silentLog }), clock, db };
}

test("P8: the database is read when somebody asks, and at most every five seconds", async () => {
  const { watch, clock, db } = watched();
  expect([watch.last, db.asked]).toEqual([null, 0]);
  for (let asked = 0; asked < 10; asked++) watch.look();
  await turn();
  expect([watch.last?.outboxRows, db.asked]).toEqual([1, 1]);
  clock.advance(4_999);
  watch.look();
  await turn();
  expect(db.asked).toBe(1);
  clock.advance(1);
  watch.look();
  await turn();
  expect([watch.last?.outboxRows, db.asked]).toEqual([2, 2]);
});

test("what was read before is not shown after a reading that failed", async () => {
  const { watch, clock, db } = watched();
  watch.look();
  await turn();
  expect(watch.last).not.toBeNull();
  db.answers = false;
  clock.advance(5_000);
  watch.look();
  await turn();
  expect(watch.last).toBeNull();
  db.answers = true;
  clock.advance(5_000);
  watch.look();
  await turn();
  expect(watch.last?.outboxRows).toBe(3);
});

test("P8: no second reading begins while one has not ended, however long that takes", async () => {
  const { watch, clock, db } = watched();
  const lock = Promise.withResolvers<void>();
  db.free = lock.promise;
  for (let asked = 0; asked < 10; asked++) {
    watch.look();
    await turn();
    clock.advance(5_000);
  }
  expect(db.asked).toBe(1);
  lock.resolve();
  await turn();
  watch.look();
  await turn();
  expect([watch.last?.outboxRows, db.asked]).toEqual([2, 2]);
});
