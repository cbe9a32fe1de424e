import pg from "pg";
import { expect, test } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { connectionError, isRefused } from "../../src/pg/connection.ts";
import { SweepFailures } from "../../src/intake/sweep-failures.ts";
import { writeFailure } from "../../src/results/write-failure.ts";
import { silentLog } from "../support/silent-log.ts";
import { blockedSlot } from "../../src/slot/blockers.ts";
import { isUnreachable, outageOf } from "../../src/slot/stream-outage.ts";

const failure = (code: string, more: object = {}): Error =>
  Object.assign(new Error(`error ${code}`), { code, ...more });

function refusal(code: string, hint: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError("refused", 1, "error"), { code, hint });
}

test.each([
  ["a system's error", failure("ECONNREFUSED", { syscall: "connect" }), true],
  ["a driver's error", new Error("Connection terminated"), true],
  ["a connection exception", failure("08006"), true],
  ["a server that starts", failure("57P03"), true],
  ["a server that crashed", failure("57P02"), true],
  ["a missing right", failure("42501"), false],
  ["an error of pgnetd", new PgnetdError("STREAM_LOST", "lost"), false],
])("the database is out of reach by %s: %s", (_what, error, unreachable) => {
  expect(isUnreachable(error)).toBe(unreachable);
});

test("why there is no stream comes with what mends it", () => {
  expect(outageOf(failure("55000"))).toEqual({
    reason: "error 55000",
    sqlstate: "55000",
    hint: "Logical decoding needs wal_level = logical and max_replication_slots above 0, and a restart of PostgreSQL.",
  });
  expect(outageOf(new PgnetdError("STREAM_UNAVAILABLE", "no", { hint: "Do it." }))).toEqual({
    reason: "no",
    sqlstate: null,
    hint: "Do it.",
  });
  expect(outageOf(failure("08006")).hint).toBe(new PgnetdError("PG_UNREACHABLE", "").hint);
  expect(outageOf(failure("XX000")).hint).toBe(new PgnetdError("STREAM_UNAVAILABLE", "").hint);
});

test("where nobody can log in, nothing is said of requests that are sent", () => {
  for (const code of ["28P01", "28000"]) {
    expect(outageOf(failure(code)).hint).toBe(new PgnetdError("PG_REFUSED", "").hint);
  }
});

test.each([
  ["42501", /^Give the role the right to connect: grant connect/],
  ["55000", /^Let the database take connections: alter database/],
])(
  "a login that the database refuses with %s is no lack of replication, of wal_level or of a right on a table",
  (code, hint) => {
    const refused = Object.assign(new pg.DatabaseError("no", 1, "error"), { code, routine: "CheckMyDatabase" });
    expect([outageOf(refused).hint, connectionError(refused).hint, writeFailure(refused).hint]).toEqual(
      Array(3).fill(expect.stringMatching(hint)),
    );
    expect([isRefused(refused), connectionError(refused).code]).toEqual([true, "PG_REFUSED"]);
    expect(outageOf(failure("3D000")).hint).toMatch(/^Point DATABASE_URL to the database/);
    const later = Object.assign(new pg.DatabaseError("no", 1, "error"), { code, routine: "aclcheck_error" });
    expect(isRefused(later)).toBe(false);
  },
);

test("an error that comes from a pooler says so, and what to set", () => {
  const direct = /^A pooler answers in PostgreSQL's place: give DATABASE_URL the host and port/;
  const refused = Object.assign(new pg.DatabaseError("unsupported startup parameter", 1, "error"), { code: "08P01" });
  const ordinary = Object.assign(new pg.DatabaseError('syntax error at or near "IDENTIFY_SYSTEM"', 1, "error"), {
    code: "42601",
    routine: "scanner_yyerror",
  });
  const ofOthers = ["42P05", "26000"].map((code) =>
    Object.assign(new pg.DatabaseError('prepared statement "pgnetd_answered"', 1, "error"), { code, routine: "x" }),
  );
  for (const error of ofOthers) {
    expect(writeFailure(error).hint).toMatch(direct);
    const failures = new SweepFailures(silentLog);
    for (let count = 0; count < 3; count++) failures.failed(error);
    expect(failures.unread).toContain("A pooler answers in PostgreSQL's place");
  }
  for (const error of [refused, ordinary, ...ofOthers]) expect(outageOf(error).hint).toMatch(direct);
  expect(connectionError(refused)).toMatchObject({
    code: "PG_UNREACHABLE",
    hint: expect.stringMatching(direct) as unknown,
  });
  const servers = Object.assign(new pg.DatabaseError("no", 1, "error"), {
    code: "08P01",
    routine: "ProcessStartupPacket",
  });
  expect(connectionError(servers).hint).toBe(new PgnetdError("PG_UNREACHABLE", "").hint);
});

test.each([failure("57014"), new Error("Query read timeout")])("%s sends to who holds a lock", (error) => {
  const locks = /pg_locks and pg_prepared_xacts/;
  expect(writeFailure(error).hint).toMatch(locks);
  const failures = new SweepFailures(silentLog);
  for (let count = 0; count < 3; count++) failures.failed(error);
  expect(failures.unread).toMatch(locks);
});

test("of a missing right the server's own hint counts, and of nothing else", () => {
  expect(outageOf(refusal("42501", "Trust it.")).hint).toBe("Trust it.");
  expect(outageOf(refusal("55000", "Trust it.")).hint).toContain("wal_level");
  expect(outageOf(failure("42501", { hint: "Trust it." })).hint).toContain("alter role");
});

test("a log that is gone is no plugin that is missing", () => {
  const gone = Object.assign(new pg.DatabaseError("requested WAL segment 1 has already been removed", 1, "error"), {
    code: "58P01",
    routine: "WalSndSegmentOpen",
  });
  expect(outageOf(gone).hint).toMatch(/^The log that the slot needs is gone/);
  expect(outageOf(failure("58P01")).hint).toContain("output plugin");
});

test("what a slot's creation waits for is named; without anything there is no outage", () => {
  const nobody = { pid: 7, user: null, application: null, since: null };
  const somebody = { pid: 8, user: "app", application: 'x "y"', since: "2026-11-21" };
  expect(blockedSlot("s", [])).toBeNull();
  expect(blockedSlot("s", [{ ...nobody, pid: 0 }, nobody, somebody])).toMatchObject({
    reason:
      'replication slot "s" can be made when these have ended: a prepared transaction (see pg_prepared_xacts), ' +
      'process 7 (user ?, application "", in a transaction since ?), ' +
      String.raw`process 8 (user app, application "x \"y\"", in a transaction since 2026-11-21)`,
    sqlstate: null,
  });
});
