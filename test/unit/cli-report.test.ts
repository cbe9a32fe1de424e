import { DatabaseError } from "pg";
import { expect, it } from "vitest";
import { reportOf } from "../../src/cli/report.ts";

function serverError(code: string): DatabaseError {
  return Object.assign(new DatabaseError("as the server says it", 0, "error"), { code });
}

it("a right that is missing, and a server that ends a session, are no defects", () => {
  expect(reportOf(serverError("42501"), false)).toEqual({
    text: "pgnetd: as the server says it\nhint: The role in DATABASE_URL lacks a right that this needs: pgnetd doctor says which, and how to grant it.\n",
    exitCode: 77,
  });
  for (const code of ["57P01", "53300", "08006", "25P03", "25P04"]) {
    expect([code, reportOf(serverError(code), false).exitCode]).toEqual([code, 69]);
  }
});

it("a database that is read-only is no defect, and what mends it is said", () => {
  expect(reportOf(serverError("25006"), false)).toMatchObject({
    text: expect.stringContaining("lift default_transaction_read_only") as unknown,
    exitCode: 69,
  });
});

it("what else the server says is a defect", () => {
  expect(reportOf(serverError("42601"), false)).toMatchObject({
    text: expect.stringContaining("defect") as unknown,
    exitCode: 70,
  });
  expect(reportOf(new TypeError("x is undefined"), false).exitCode).toBe(70);
});
