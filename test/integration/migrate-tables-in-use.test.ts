import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { PgnetdError } from "../../src/base/errors.ts";
import { connect } from "../../src/pg/connection.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { inTransactions } from "../../src/pg/migration-transaction.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { sessionName } from "../../src/pg/session-name.ts";
import { eventually } from "../support/eventually.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

/** Far below the time for which others hold the lock here, and far above a lock timeout on a busy machine. */
const LONGEST_CALL_MS = 4_000;

const HELD_MS = 6_000;

/** A transaction that has read `table` and stays open. Closing it ends it. */
async function reader(db: TestDatabase, table: string): Promise<{ readonly name: string } & AsyncDisposable> {
  const client = await db.pool.connect();
  await client.query(`begin; select from ${table}`);
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return {
    name: `process ${rows[0]?.pid} (`,
    [Symbol.asyncDispose]: async () => client.release(true),
  };
}

/** The same as a prepared transaction. */
async function preparedReader(db: TestDatabase, table: string): Promise<{ readonly name: string } & AsyncDisposable> {
  await db.query(`begin; select from ${table}; prepare transaction '${db.name}'`);
  return {
    name: `a prepared transaction ('${db.name}', `,
    [Symbol.asyncDispose]: async () => void (await db.query(`rollback prepared '${db.name}'`)),
  };
}

test.for([
  ["session", reader],
  ["prepared transaction", preparedReader],
] as const)(
  "P9: callers go on while a migration waits for a %s that has read the outbox, and the migration when that has ended",
  async ([, hold]) => {
    await using db = await testDatabase();
    const client = await connect(db.url, "migrate");
    try {
      const holder = await hold(db, "net.http_request_queue");
      const problems: PgnetdError[] = [];
      const step = inTransactions(client, { url: db.url, waiting: (one) => void problems.push(one) });
      let isDone = false;
      const done = step
        .run("a new column", async () => {
          await client.query("create table net.probe ()");
          await client.query("alter table net.http_request_queue add column probe int");
        })
        .finally(() => {
          isDone = true;
        });
      done.catch(() => undefined);
      const delays: number[] = [];
      try {
        const begunAt = systemClock.now();
        while (systemClock.now() - begunAt < HELD_MS || problems.length === 0) {
          const calledAt = systemClock.now();
          await db.query("set statement_timeout = '20s'; select net.http_get('http://127.0.0.1:9/')");
          delays.push(systemClock.now() - calledAt);
        }
        expect(isDone).toBe(false);
      } finally {
        await holder[Symbol.asyncDispose]();
      }
      await done;
      expect(Math.max(...delays)).toBeLessThan(LONGEST_CALL_MS);
      expect(problems).toHaveLength(1);
      expect(problems[0]?.message.startsWith(holder.name)).toBe(true);
      expect(problems[0]?.message).toMatch(
        /has been in a transaction since \d{4}-\d\d-\d\d \S+ and holds a lock that the migration needs$/,
      );
      expect(problems[0]?.hint).toMatch(
        /End it: (select pg_terminate_backend\(\d+\)|rollback prepared '\w+'); -- as role \S+ or /,
      );
      expect(await db.query("select probe from net.http_request_queue limit 1")).toEqual([{ probe: null }]);
    } finally {
      await client.end();
    }
  },
);

test("a migration goes on where the session that sees who is in the way is ended, and another one takes its place", async () => {
  await using db = await testDatabase();
  const client = await connect(db.url, "migrate");
  try {
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    const problems: PgnetdError[] = [];
    const step = inTransactions(client, { url: db.url, waiting: (one) => void problems.push(one) });
    const holder = await reader(db, "net.http_request_queue");
    const done = step.run("a new column", () =>
      client.query("alter table net.http_request_queue add column probe int"),
    );
    done.catch(() => undefined);
    try {
      await eventually(async () => {
        const ended = await db.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = $1 and pid <> $2",
          [sessionName("migrate"), rows[0]?.pid],
        );
        return ended.length > 0;
      });
      await eventually(() => problems.length > 0);
      expect(problems[0]?.message.startsWith(holder.name)).toBe(true);
    } finally {
      await holder[Symbol.asyncDispose]();
    }
    await done;
  } finally {
    await client.end();
  }
});

test("an upgrade waits for a transaction that has read the answers, and a stop signal ends it", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { to: 6 });
  {
    await using holder = await reader(db, "net._http_response");
    const problems: PgnetdError[] = [];
    const stop = new AbortController();
    const stopped = migrate(db.url, { signal: stop.signal, waiting: (one) => void problems.push(one) }).catch(
      (error: unknown) => error,
    );
    await eventually(() => problems.length > 0);
    stop.abort();
    expect(await stopped).toMatchObject({
      code: "NOT_DONE",
      message: expect.stringContaining(`stopped while ${holder.name}`) as unknown,
    });
    expect(await db.query("select max(version) as version from net.pgnetd_migrations")).toEqual([{ version: 6 }]);
  }
  expect(await migrate(db.url)).toMatchObject({ from: 6, to: LATEST_VERSION });
});
