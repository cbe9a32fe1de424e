import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { ENVIRONMENT_VERSION, LATEST_VERSION } from "../../src/pg/migrations.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const STAGING = { PGNETD_ENVIRONMENT: "staging" };

/** Runs `pgnetd adopt` and returns what it printed, and how it failed or null. */
async function adopt(
  db: TestDatabase,
  env: Readonly<Record<string, string>>,
  ...flags: readonly string[]
): Promise<{ readonly lines: readonly string[]; readonly failure: unknown }> {
  const lines: string[] = [];
  const context = { env: { DATABASE_URL: db.url, ...env }, print: (line: string) => void lines.push(line) };
  const failure = await runProgram(["adopt", ...flags], { ...context, stop: new AbortController().signal }).then(
    () => null,
    (error: unknown) => error,
  );
  return { lines, failure };
}

/** A database as a copy of production has it, with two requests that wait. */
async function copyOfProduction(url = "http://127.0.0.1:9/"): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  await migrate(db.url, { environment: { name: "production", claim: true } });
  await db.query("select net.http_post($1 || n) from generate_series(1, 2) n", [url]);
  return db;
}

async function state(db: TestDatabase): Promise<Readonly<Record<string, unknown>> | undefined> {
  const [row] = await db.query(
    `select id, environment, place, (select count(*)::int from net.http_request_queue) as requests
    from net.pgnetd_installation`,
  );
  return row;
}

test("adopt --discard deletes the requests, gives a new id, and a daemon of the environment runs", async () => {
  await using receiver = await startReceiver();
  await using db = await copyOfProduction(receiver.url("/production-"));
  const before = await state(db);
  const { lines, failure } = await adopt(db, STAGING, "--discard");
  expect({ lines, failure }).toEqual({
    lines: [
      "this database is recorded for the environment staging",
      "the installation has a new id",
      "2 requests are deleted",
    ],
    failure: null,
  });
  const after = await state(db);
  expect(after).toMatchObject({ environment: "staging", place: null, requests: 0 });
  expect(after?.["id"]).not.toBe(before?.["id"]);
  await using _daemon = await startInProcess(db.url, STAGING);
  await db.query("select net.http_post($1)", [receiver.url("/staging")]);
  const requests = await receiver.waitFor(1);
  expect(requests.map(({ path }) => path)).toEqual(["/staging"]);
  expect(requests[0]?.headers["idempotency-key"]).toContain(`${String(after?.["id"])}-`);
});

test("adopt --keep keeps the requests under a new id, --moved under the same, for an environment or for none", async () => {
  await using db = await copyOfProduction();
  const before = await state(db);
  expect((await adopt(db, STAGING, "--keep")).failure).toBeNull();
  const kept = await state(db);
  expect(kept).toMatchObject({ environment: "staging", requests: 2 });
  expect(kept?.["id"]).not.toBe(before?.["id"]);

  const moved = await adopt(db, {}, "--moved");
  expect(moved.lines).toEqual([
    "this database is recorded for no environment",
    "the installation keeps its id",
    "2 requests wait, to be sent from here",
  ]);
  expect(await state(db)).toMatchObject({ environment: null, requests: 2, id: kept?.["id"] });
});

test("without a flag, or with two, adopt changes nothing and says what there is", async () => {
  await using db = await copyOfProduction();
  const before = await state(db);
  expect(await adopt(db, STAGING)).toMatchObject({
    lines: [
      "recorded for the environment production; would be recorded for the environment staging",
      "2 requests wait: --discard deletes them, --keep and --moved leave them to be sent from here",
      "0 dead letters stay as they are",
    ],
    failure: { exitCode: 64, message: "nothing was changed: adopt needs one of --discard, --keep, --moved" },
  });
  expect((await adopt(db, STAGING, "--discard", "--keep")).failure).toMatchObject({ exitCode: 64 });
  expect(await state(db)).toEqual(before);
});

test("adopt --json prints one object: what there is, and what was done with it", async () => {
  await using db = await copyOfProduction();
  const found = { environment: "staging", environmentBefore: "production", requests: 2, deadLetters: 0 };
  const plan = await adopt(db, STAGING, "--json");
  expect(plan.failure).toMatchObject({ exitCode: 64 });
  expect(plan.lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ adopted: null, ...found }]);
  const done = await adopt(db, STAGING, "--discard", "--json");
  expect(done.failure).toBeNull();
  expect(done.lines.map((line) => JSON.parse(line) as unknown)).toEqual([{ adopted: "discard", ...found }]);
  const moved = await adopt(db, {}, "--moved", "--json");
  expect(moved.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { adopted: "moved", environment: null, environmentBefore: "staging", requests: 0, deadLetters: 0 },
  ]);
});

test("adopt leaves a database of its own environment, and one that a daemon leads, as they are", async () => {
  await using db = await copyOfProduction();
  const before = await state(db);
  const own = await adopt(db, { PGNETD_ENVIRONMENT: "production" }, "--discard");
  expect(own.failure).toMatchObject({
    code: "NOT_DONE",
    message: "this database is recorded for the environment production already",
  });
  expect(await state(db)).toEqual(before);

  await db.query("update net.http_request_queue set next_attempt_at = 'infinity'");
  await using _daemon = await startInProcess(db.url, { PGNETD_ENVIRONMENT: "production" });
  const led = await adopt(db, STAGING, "--discard");
  expect(led.failure).toMatchObject({
    code: "NOT_DONE",
    message: expect.stringMatching(/^pgnetd is connected to this database: process \d+$/) as unknown,
  });
  expect(await state(db)).toMatchObject({ environment: "production", requests: 2, id: before?.["id"] });
});

test("adopt upgrades an older schema, and restores a row that a dump of the schema alone has not", async () => {
  await using old = await testDatabase({ migrated: false });
  await migrate(old.url, { to: ENVIRONMENT_VERSION - 1 });
  await old.query("select net.http_post('http://127.0.0.1:9/')");
  expect((await adopt(old, STAGING, "--discard")).failure).toBeNull();
  expect(await old.query("select max(version)::int as version from net.pgnetd_migrations")).toEqual([
    { version: LATEST_VERSION },
  ]);
  await using without = await testDatabase({ migrated: false });
  expect((await adopt(without, STAGING, "--discard")).failure).toMatchObject({ code: "SCHEMA_MISSING" });
  await using empty = await testDatabase();
  await empty.query("truncate net.pgnetd_installation");
  expect((await adopt(empty, STAGING, "--discard")).failure).toBeNull();
  for (const db of [old, empty]) expect(await state(db)).toMatchObject({ environment: "staging", requests: 0 });
});

test("adopt that is refused leaves an older schema at its version", async () => {
  await using db = await testDatabase({ migrated: false });
  const to = LATEST_VERSION - 1;
  await migrate(db.url, { environment: { name: "staging", claim: true }, to });
  const version = async (): Promise<unknown> => db.query("select max(version) from net.pgnetd_migrations");
  expect((await adopt(db, STAGING, "--keep")).failure).toMatchObject({
    code: "NOT_DONE",
    message: "this database is recorded for the environment staging already",
  });
  expect(await version()).toEqual([{ max: to }]);
  const leader = await db.pool.connect();
  try {
    await leader.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
    expect((await adopt(db, { PGNETD_ENVIRONMENT: "other" }, "--keep")).failure).toMatchObject({ code: "NOT_DONE" });
    expect(await version()).toEqual([{ max: to }]);
  } finally {
    leader.release(true);
  }
});
