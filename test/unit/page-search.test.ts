import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import type { Queryable, Statement } from "../../src/pg/pool.ts";
import { Search } from "../../src/page/search.ts";

const ROWS = Array.from({ length: 15_000 }, (_, id) => ({ id: String(id), url: `https://a.example/${id}` }));

/** Answers as the tables do, and keeps what it was asked. */
class Tables implements Queryable {
  readonly asked: Statement[] = [];
  readonly #rows: readonly { readonly id: string; readonly url: string }[];

  constructor(rows = ROWS) {
    this.#rows = rows;
  }

  async query(statement: Statement): Promise<{ rows: never[]; rowCount: number }> {
    this.asked.push(statement);
    const rows = statement.values === undefined ? this.#rows : [];
    return { rows: [...rows] as never[], rowCount: rows.length };
  }
}

/** A millisecond later whenever it is asked. */
class TickingClock implements Clock {
  readonly slept: number[] = [];
  #now = 0;

  now(): number {
    return ++this.#now;
  }

  async sleep(ms: number): Promise<void> {
    this.slept.push(ms);
    this.#now += ms;
  }
}

test("P6: a search compares few urls at a time, and what else there is to do goes on between", async () => {
  let turns = 0;
  let isFound = false;
  const others = (async () => {
    for (; !isFound; turns++) await setImmediate();
  })();
  const { note } = await new Search(new Tables(), new TickingClock()).find("https://b.example", "host");
  isFound = true;
  await others;
  expect(note).toMatch(/^0 among/);
  expect(turns).toBeGreaterThanOrEqual(ROWS.length / 500);
});

test("P6: after a search for a url the next one waits for twenty times as long as that one took, and a third is refused", async () => {
  const clock = new TickingClock();
  const search = new Search(new Tables(), clock);
  await search.find("https://b.example", "host");
  const second = search.find("https://c.example", "host");
  await expect(search.find("https://d.example", "host")).rejects.toThrow("try again");
  expect((await search.find("7", "host")).note).toBe("request 7");
  await second;
  const [first, next] = clock.slept;
  expect(first).toBe(0);
  expect(next).toBeGreaterThanOrEqual(15);
  expect(next).toBeLessThanOrEqual(20);
});

test("P5: a search by host reads no more of urls than a host has, and P11: nothing is found by a user cut there", async () => {
  const tables = new Tables([{ id: "1", url: `https://${"t0ken".repeat(200)}`.slice(0, 512) }]);
  const search = new Search(tables, new TickingClock());
  expect((await search.find("https://t0ken", "host")).note).toMatch(/^0 among/);
  await search.find("https://t0ken", "path");
  const [host, path] = tables.asked.filter(({ values }) => values === undefined);
  expect(host?.text.match(/left\(url, 512\)/g)).toHaveLength(3);
  expect(path?.text.match(/left\(url, 2048\)/g)).toHaveLength(3);
  expect(host?.name).not.toBe(path?.name);
});

test("a search that the database could not answer is refused to nobody after it", async () => {
  const tables = new Tables();
  const failing: Queryable = { query: () => Promise.reject(new Error("away")) };
  let db = failing;
  const search = new Search({ query: (statement) => db.query(statement) }, new TickingClock());
  await expect(search.find("https://a.example", "host")).rejects.toThrow("away");
  db = tables;
  expect((await search.find("https://a.example", "host")).note).toMatch(/^the first 50 of 15000 among/);
});
