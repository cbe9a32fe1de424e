import { expect, test } from "vitest";
import { doctor } from "../support/doctor.ts";
import { PGBOUNCER, startPgBouncer } from "../support/pgbouncer.ts";
import { testDatabase } from "../support/postgres.ts";

const title = PGBOUNCER === null ? "NOT RUN, since pgbouncer is not installed: " : "";

test.skipIf(PGBOUNCER === null)(`${title}pooler fails for a PgBouncer that refuses our sessions`, async () => {
  await using db = await testDatabase();
  await using pooler = await startPgBouncer(db.url);
  const report = await doctor(pooler.url, "--only", "connection,server");
  expect(report.checks[0]).toMatchObject({
    id: "pooler",
    status: "fail",
    found: expect.stringMatching(/^a pooler answers in PostgreSQL's place: /) as unknown,
    fix: "give DATABASE_URL the host and port of PostgreSQL itself, usually 5432",
  });
  expect(report.ids("fail")).toEqual(["pooler"]);
  expect(report.of("login")).toMatchObject({ status: "skip", found: "not looked at, since pooler failed" });
});

test.skipIf(PGBOUNCER === null)(
  `${title}pooler fails for a PgBouncer that is told to pass over startup options`,
  async () => {
    await using db = await testDatabase();
    await using pooler = await startPgBouncer(
      db.url,
      "ignore_startup_parameters = options,replication,extra_float_digits",
    );
    const report = await doctor(pooler.url, "--only", "pooler");
    expect(report.of("pooler")).toMatchObject({
      status: "fail",
      found: expect.stringMatching(
        /^there is one \(the session has process id \d+, and -?\d+ was announced\), and it carries no replication: /,
      ) as unknown,
    });
  },
);

test("pooler finds none where there is none", async () => {
  await using db = await testDatabase();
  expect((await doctor(db.url, "--only", "pooler")).ids("ok")).toEqual(["pooler"]);
});
