import pg from "pg";
import { expect, test } from "vitest";
import type { PgnetdError } from "../../src/base/errors.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";

const LOCK_CLASS_ID = 1885826669;

/** A session of a role without any right of its own that has the lock of migrations. Closing it ends both. */
async function stranger(db: TestDatabase): Promise<{ readonly role: string; readonly pid: number } & AsyncDisposable> {
  const role = `${db.name}_mallory`;
  await db.query(`create role ${role} login password 'secret'`);
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  const client = new pg.Client({ connectionString: url.href, application_name: "pgnetd (pg_net) migrate" });
  client.on("error", () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid, pg_advisory_lock($1, 0)", [
    LOCK_CLASS_ID,
  ]);
  return {
    role,
    pid: rows[0]?.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await db.query(`drop role ${role}`);
    },
  };
}

test.for([true, false])(
  "a migration says once who keeps it waiting, and goes on or ends: installed %s",
  async (migrated) => {
    await using db = await testDatabase({ migrated });
    await using other = await stranger(db);
    const problems: PgnetdError[] = [];
    const stop = new AbortController();
    const waitFor = (signal: AbortSignal) => ({ signal, waiting: (one: PgnetdError) => void problems.push(one) });
    const stopped = migrate(db.url, waitFor(stop.signal)).catch((error: unknown) => error);
    await eventually(() => problems.length > 0);
    stop.abort();
    expect(await stopped).toMatchObject({
      code: "NOT_DONE",
      message: expect.stringMatching(/^stopped while/) as unknown,
    });
    expect(problems).toEqual([
      expect.objectContaining({
        message: `process ${other.pid} (pgnetd (pg_net) migrate, role ${other.role}) holds the lock for migrations and is no pgnetd`,
        hint: `End it: select pg_terminate_backend(${other.pid}); -- as role ${other.role} or a member of pg_signal_backend or a superuser`,
      }),
    ]);
    const goesOn = migrate(db.url, waitFor(new AbortController().signal));
    await eventually(() => problems.length > 1);
    await db.query("select pg_terminate_backend($1)", [other.pid]);
    expect(await goesOn).toMatchObject({ to: LATEST_VERSION });
    expect(problems).toHaveLength(2);
  },
);

test("a migration that another one keeps waiting says so", async () => {
  await using db = await testDatabase();
  const client = await db.pool.connect();
  const problems: PgnetdError[] = [];
  let done: Promise<unknown> | null = null;
  try {
    await client.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    done = migrate(db.url, { waiting: (one) => void problems.push(one) });
    done.catch(() => undefined);
    await eventually(() => problems.length > 0);
    expect(problems[0]?.message).toMatch(/^process \d+ .* holds the lock for migrations$/);
  } finally {
    client.release(true);
    await done;
  }
});

test("a daemon that migrates at its start says who keeps it waiting, and ends when it is asked to", async () => {
  await using db = await testDatabase({ migrated: false });
  await using other = await stranger(db);
  await using daemon = await startDaemon({
    databaseUrl: db.url,
    env: { PGNETD_MIGRATE: "true" },
    waitUntilReady: false,
  });
  await eventually(() => daemon.log().includes(`pg_terminate_backend(${other.pid})`));
  expect(daemon.events()).toContainEqual(
    expect.objectContaining({
      level: "warn",
      msg: expect.stringContaining(`role ${other.role}) holds the lock`) as unknown,
    }),
  );
  await daemon.stop();
});
