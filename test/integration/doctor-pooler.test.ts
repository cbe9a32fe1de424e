import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { doctor } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import { enqueue } from "../support/outbox.ts";
import { PGBOUNCER, startPgBouncer } from "../support/pgbouncer.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

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

test.skipIf(PGBOUNCER === null)(
  `${title}a daemon behind a PgBouncer that passes over startup options says with each failure that it is the pooler`,
  async () => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await using pooler = await startPgBouncer(
      db.url,
      "ignore_startup_parameters = options,replication,extra_float_digits",
    );
    await using daemon = await startDaemon({ databaseUrl: pooler.url, waitUntilReady: false });
    const ofStatements = (): readonly Readonly<Record<string, unknown>>[] =>
      daemon.events().filter(({ code, sqlstate }) => ["42P05", "26000"].includes(String(code ?? sqlstate)));
    await eventually(async () => {
      await enqueue(db, receiver.url("/"), 5);
      return ofStatements().length > 0;
    });
    for (const event of ofStatements()) {
      expect(event).toMatchObject({
        hint: expect.stringMatching(/^A pooler answers in PostgreSQL's place/) as unknown,
      });
    }
  },
);

test("pooler finds none where there is none", async () => {
  await using db = await testDatabase();
  expect((await doctor(db.url, "--only", "pooler")).ids("ok")).toEqual(["pooler"]);
});
