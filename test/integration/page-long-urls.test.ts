import { expect, test } from "vitest";
import { openPool, type Queryable } from "../../src/pg/pool.ts";
import { readLists } from "../../src/page/lists.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Search } from "../../src/page/search.ts";
import { testDatabase } from "../support/postgres.ts";

const LONG = "'https://a.example/' || repeat('x', 100000)";

test("P5: of a long url, and of a long message, only the start is read for the page's tables and for a search", async () => {
  await using db = await testDatabase();
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 20_000 });
  await db.query(`insert into net.http_request_queue (id, method, url, timeout_milliseconds, next_attempt_at)
    values (1, 'GET', ${LONG}, 1, 'infinity')`);
  await db.query(`insert into net.http_response_detail (id, method, url, attempts, error_code, enqueued)
    values (2, 'GET', ${LONG}, 1, 'dns', now())`);
  await db.query(`insert into net.http_dead_letter (id, method, url, timeout_milliseconds, created, attempts)
    values (3, 'GET', ${LONG}, 1, now(), 2)`);
  await db.query(`insert into net._http_response (id, created, error_msg)
    select id, created, ${LONG} from net.http_response_detail`);
  await db.query(`update net.http_dead_letter set error_msg = ${LONG}`);
  let read = 0;
  const metered: Queryable = {
    async query(statement) {
      const result = await pool.query(statement);
      read += JSON.stringify(result.rows).length;
      return result as never;
    },
  };
  const readBy = async <T>(act: () => Promise<T>): Promise<T> => {
    read = 0;
    const result = await act();
    expect(read).toBeLessThan(10_000);
    return result;
  };
  const search = new Search(metered, systemClock);
  const { failures, deadLetters } = await readBy(() => readLists(metered, "path", new Map()));
  for (const { url } of [...failures, ...deadLetters]) expect(url).toMatch(/^https:\/\/a\.example\/x{1000,}$/);
  expect([failures.length, deadLetters.length]).toEqual([1, 1]);
  for (const id of ["1", "2", "3"]) {
    expect((await readBy(() => search.find(id, "path"))).requests).toMatchObject([{ id }]);
  }
  expect((await search.find("https://a.example/xxx", "path")).requests).toHaveLength(3);
});
