import { connect } from "node:net";
import { expect, it } from "vitest";
import { databaseHint } from "../../src/pg/pooler.ts";
import { isDataError, sqlstateOf } from "../../src/pg/sqlstate.ts";

it.each(["23505", "57P01", "XX000"])("%s is an SQLSTATE", (code) => {
  expect(sqlstateOf(Object.assign(new Error("from the server"), { code }))).toBe(code);
});

it.each([new Error("without a code"), Object.assign(new Error("too long"), { code: "ERR_CLOSED" }), "23505", null])(
  "%s has none",
  (error) => {
    expect(sqlstateOf(error)).toBeNull();
  },
);

it.each(["EPIPE", "EPERM"])("the system's %s is none, though it has five letters", (code) => {
  const error = Object.assign(new Error(`write ${code}`), { errno: -1, code, syscall: "write" });
  expect(sqlstateOf(error)).toBeNull();
});

it("a refused connection has none", async () => {
  const error = await new Promise((resolve) => {
    connect(1, "127.0.0.1").once("error", resolve);
  });
  expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect" });
  expect(sqlstateOf(error)).toBeNull();
});

it("want of transaction ids is no fault of the data, though it has the code of what is too large", () => {
  const code = "54000";
  const tooLarge = Object.assign(new Error("index row size exceeds maximum"), {
    code,
    routine: "_bt_check_third_page",
  });
  expect([isDataError(tooLarge), databaseHint(tooLarge)]).toEqual([true, undefined]);
  for (const routine of ["GetNewTransactionId", "GetNewMultiXactId"]) {
    const error = Object.assign(new Error("database is not accepting commands"), { code, routine });
    expect(isDataError(error)).toBe(false);
    expect(databaseHint(error)).toContain("vacuum the database");
  }
});
