import { expect, test } from "vitest";
import type { Queryable } from "../../src/pg/pool.ts";
import { isSameHolder, isStranger, type LockHolder, readHolder, strangerText } from "../../src/leader/holder.ts";

const SESSION: LockHolder = {
  pid: 7,
  gid: null,
  user: "app",
  application: "pgnetd leader",
  address: null,
  mayLead: true,
};

test.each([
  ["a session that may lead and has our name", {}, false],
  ["one whose name is not known", { application: null }, false],
  ["one that is gone", { application: null, mayLead: null }, false],
  ["one that may not write results, whatever its name", { mayLead: false }, true],
  ["one with another name", { application: "psql" }, true],
  ["a prepared transaction", { pid: null, application: null }, true],
])("P3: of holders of the leader's lock %s is a stranger: %s", (_what, parts, stranger) => {
  expect(isStranger({ ...SESSION, ...parts })).toBe(stranger);
});

test("a holder is the same by its process, or by its prepared transaction", () => {
  const prepared = { ...SESSION, pid: null, gid: "a" };
  expect(isSameHolder(SESSION, { ...SESSION, application: "other" })).toBe(true);
  expect(isSameHolder(SESSION, { ...SESSION, pid: 8 })).toBe(false);
  expect([isSameHolder(prepared, { ...prepared }), isSameHolder(prepared, { ...prepared, gid: "b" })]).toEqual([
    true,
    false,
  ]);
  expect([isSameHolder(null, null), isSameHolder(null, SESSION), isSameHolder(SESSION, null)]).toEqual([
    true,
    false,
    false,
  ]);
});

test("who has the lock is asked over an ordinary connection; nobody may have it", async () => {
  const withRows = (...rows: readonly LockHolder[]): Queryable => ({
    query: (async () => ({ rows, rowCount: rows.length })) as unknown as Queryable["query"],
  });
  expect([await readHolder(withRows(SESSION)), await readHolder(withRows())]).toEqual([SESSION, null]);
  expect(strangerText(SESSION)).toBe("process 7 (pgnetd leader, role app) has the leader's lock and is no pgnetd");
});
