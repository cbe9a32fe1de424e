import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { findInstallation } from "../../src/pg/installation.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { LATEST_VERSION } from "../../src/pg/migrations.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const NONE = {};
const PRODUCTION = { PGNETD_ENVIRONMENT: "production" };
const STAGING = { PGNETD_ENVIRONMENT: "staging" };
const AT_START = { PGNETD_MIGRATE: "true" };
type Env = Readonly<Record<string, string>>;

const LEFT = "select id::text, url from net.http_request_queue order by id";
const RECORDED = "select environment, place is not null as served from net.pgnetd_installation";
const SLOTS = "select slot_name from pg_replication_slots where database = current_database()";

/** A database that a daemon of `env` has served, and in whose outbox three requests to `receiver` wait. */
async function served(receiver: Receiver, env: Env): Promise<TestDatabase> {
  const db = await testDatabase({ migrated: false });
  const environment = { name: env["PGNETD_ENVIRONMENT"] ?? null, claim: true };
  await migrate(db.url, { environment });
  {
    await using _daemon = await startInProcess(db.url, { ...env, PGNETD_SLOT_TEMPORARY: "true" });
    await db.query("select net.http_get($1)", [receiver.url("/before")]);
    await receiver.waitFor(1);
  }
  await db.query("select net.http_post($1 || n) from generate_series(1, 3) n", [receiver.url("/waits-")]);
  return db;
}

/** Starts a daemon for each of `envs` at once; each must end with a message like `message`. */
async function refused(db: TestDatabase, message: RegExp, ...envs: readonly Env[]): Promise<void> {
  const problem = { code: "WRONG_ENVIRONMENT", message: expect.stringMatching(message) as unknown };
  await Promise.all(envs.map((env) => expect(startInProcess(db.url, env)).rejects.toMatchObject(problem)));
}

/** Runs a daemon, which must come to lead, until `receiver` has had everything that `served` requested, once. */
async function sends(db: TestDatabase, env: Env, receiver: Receiver): Promise<void> {
  await using _daemon = await startInProcess(db.url, env);
  const requests = await receiver.waitFor(4);
  expect(requests.map(({ path }) => path).toSorted()).toEqual(["/before", "/waits-1", "/waits-2", "/waits-3"]);
}

/** `db` as another database of the same server. */
async function cloned(db: TestDatabase): Promise<TestDatabase> {
  return testDatabase({ template: db.name });
}

/** `db` as a dump restores it: every row is written again. */
async function restored(db: TestDatabase): Promise<TestDatabase> {
  const copy = await testDatabase();
  for (const table of ["pgnetd_installation", "http_request_queue"]) {
    await copy.query(`truncate net.${table}`);
    const rows = await db.query(`select * from net.${table}`);
    await copy.query(`insert into net.${table} select * from json_populate_recordset(null::net.${table}, $1)`, [
      JSON.stringify(rows, (_, value: unknown) => value),
    ]);
  }
  return copy;
}

test("a copy of production sends nothing for daemons of staging, of none, and such as migrate at the start, at once", async () => {
  await using receiver = await startReceiver();
  await using original = await served(receiver, PRODUCTION);
  await using copy = await cloned(original);
  const before = await copy.query(LEFT);
  await using daemon = await startDaemon({ databaseUrl: copy.url, env: STAGING, waitUntilReady: false });
  await refused(copy, /production/, STAGING, NONE, { ...STAGING, ...AT_START }, { ...NONE, ...AT_START });
  expect({ ...(await daemon.ended), log: daemon.log() }).toMatchObject({ code: 78 });
  expect(daemon.log()).toMatch(/pgnetd: this database is recorded for the environment production, and .*\n/);
  expect(daemon.log()).toMatch(/hint: Nothing was sent\. .* pgnetd adopt makes it one of its own\./);
  // Before anything is read: it has not even begun to look for the leader's lock.
  expect(daemon.log()).not.toContain('"phase"');
  expect(await copy.query(LEFT)).toEqual(before);
  expect(before).toHaveLength(3);
  expect(await copy.query(SLOTS)).toEqual([]);
  expect(receiver.requests).toHaveLength(1);
  // The one that it is for does start.
  await sends(copy, PRODUCTION, receiver);
});

test.for([
  ["made of it as a template", cloned],
  ["restored from a dump", restored],
] as const)("a database without an environment that was %s is known for a copy, and refused", async ([, copied]) => {
  await using receiver = await startReceiver();
  await using original = await served(receiver, NONE);
  await using copy = await copied(original);
  expect(await copy.query(RECORDED)).toEqual([{ environment: null, served: true }]);
  await refused(copy, /^this database is a copy: /, NONE, STAGING, { ...STAGING, ...AT_START });
  await expect(migrate(copy.url, { environment: { name: "staging", claim: true } })).rejects.toMatchObject({
    code: "WRONG_ENVIRONMENT",
  });
  expect(await copy.query(LEFT)).toHaveLength(3);
  expect(receiver.requests).toHaveLength(1);
});

test.for(["--moved", "--keep"])("a copy without an environment is served once it is adopted with %s", async (flag) => {
  await using receiver = await startReceiver();
  await using original = await served(receiver, NONE);
  await using copy = await cloned(original);
  const stop = new AbortController().signal;
  await runProgram(["adopt", flag], { env: { DATABASE_URL: copy.url }, print: () => {}, stop });
  await sends(copy, NONE, receiver);
  expect(await copy.query(LEFT)).toEqual([]);
});

test("a dump restored in the place of a database with an environment is served as before", async () => {
  await using receiver = await startReceiver();
  await using original = await served(receiver, PRODUCTION);
  await using copy = await restored(original);
  await sends(copy, PRODUCTION, receiver);
  const [key] = await copy.query<{ id: string }>("select id::text from net.pgnetd_installation");
  expect(receiver.requests.at(-1)?.headers["idempotency-key"]).toContain(`${key?.id}-`);
});

test("a database that is the same goes on without an environment, whatever is done to it", async () => {
  await using receiver = await startReceiver();
  await using db = await served(receiver, NONE);
  await db.query("vacuum (full, freeze) net.pgnetd_installation");
  await db.query("alter table net.pgnetd_installation set unlogged; alter table net.pgnetd_installation set logged");
  await db.query("create index by_id on net.pgnetd_installation (id); cluster net.pgnetd_installation using by_id");
  await sends(db, NONE, receiver);
  expect(await db.query(RECORDED)).toEqual([{ environment: null, served: true }]);
});

test("an installation that was used without an environment is recorded for one by migrate, not by a start", async () => {
  await using receiver = await startReceiver();
  await using db = await served(receiver, NONE);
  await refused(db, /recorded for no environment, and the environment set here is production/, PRODUCTION, {
    ...PRODUCTION,
    ...AT_START,
  });
  expect(await db.query(RECORDED)).toMatchObject([{ environment: null }]);
  expect(receiver.requests).toHaveLength(1);
  await migrate(db.url, { environment: { name: "production", claim: true } });
  expect(await db.query(RECORDED)).toMatchObject([{ environment: "production" }]);
  await sends(db, PRODUCTION, receiver);
});

test("daemons that install at the start, several at once, record their environment; later ones find it", async () => {
  await using db = await testDatabase({ migrated: false });
  const env = { ...PRODUCTION, ...AT_START };
  const daemons = await Promise.all([1, 2, 3].map(() => startDaemon({ databaseUrl: db.url, env })));
  try {
    expect(await db.query(RECORDED)).toMatchObject([{ environment: "production" }]);
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
  }
  await (await startInProcess(db.url, PRODUCTION)).stop();
  await refused(db, /recorded for the environment production/, { ...STAGING, ...AT_START });
});

test("migrate leaves a database of another environment as it is, and upgrades it where no environment is set", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { environment: { name: "production", claim: true } });
  await db.query("delete from net.pgnetd_migrations where version = $1", [LATEST_VERSION]);
  const versions = "select max(version)::int as version from net.pgnetd_migrations";
  for (const claim of [true, false]) {
    await expect(migrate(db.url, { environment: { name: "staging", claim } })).rejects.toMatchObject({
      code: "WRONG_ENVIRONMENT",
      exitCode: 78,
    });
  }
  expect(await db.query(versions)).toEqual([{ version: LATEST_VERSION - 1 }]);
  await db.query("insert into net.pgnetd_migrations (version, name) values ($1, 'again')", [LATEST_VERSION]);
  await migrate(db.url, { environment: { name: null, claim: true } });
  expect(await db.query(RECORDED)).toMatchObject([{ environment: "production" }]);
});

/** A daemon that stands by while `adopt` changes the installation; `leads` is called once it may lead, with what `adopt` returned. */
async function standsByWhile(
  db: TestDatabase,
  adopt: string,
  leads: (daemon: Daemon, returned: readonly { readonly id: string }[]) => Promise<void>,
): Promise<void> {
  const client = await db.pool.connect();
  try {
    await client.query("select pg_advisory_lock(1885826676, 0)");
    await using daemon = await startDaemon({ databaseUrl: db.url, env: PRODUCTION, waitUntilReady: false });
    await expect.poll(() => daemon.log(), { timeout: 20_000 }).toContain("has the leader's lock");
    const returned = await db.query<{ id: string }>(adopt);
    await client.query("select pg_advisory_unlock_all()");
    await leads(daemon, returned);
  } finally {
    client.release(true);
  }
}

test("a daemon that stands by while its database is adopted for another environment sends nothing when it leads", async () => {
  await using receiver = await startReceiver();
  await using db = await served(receiver, PRODUCTION);
  const adopt = "update net.pgnetd_installation set environment = 'staging', place = null";
  await standsByWhile(db, adopt, async (daemon) => expect(await daemon.ended).toEqual({ code: 78, signal: null }));
  expect(await db.query(LEFT)).toHaveLength(3);
  expect(receiver.requests).toHaveLength(1);
});

test("net.worker_restart() has a daemon look whose database it is, though no setting has changed", async () => {
  await using receiver = await startReceiver();
  await using db = await served(receiver, STAGING);
  await using daemon = await startDaemon({ databaseUrl: db.url, env: STAGING });
  await daemon.live();
  await db.query("update net.pgnetd_installation set environment = 'production'");
  await db.query("select net.worker_restart()");
  await eventually(() => daemon.log().includes("recorded for the environment production"));
  expect(await daemon.ended).toMatchObject({ code: 78 });
});

test("P3: a daemon that stands by while its database is adopted sends with keys of the new installation when it leads", async () => {
  await using receiver = await startReceiver();
  await using db = await served(receiver, PRODUCTION);
  const adopt = "update net.pgnetd_installation set id = gen_random_uuid(), place = null returning id";
  await standsByWhile(db, adopt, async (_daemon, [adopted]) => {
    const keys = (await receiver.waitFor(4)).slice(1).map(({ headers }) => String(headers["idempotency-key"]));
    for (const key of keys) expect(key).toContain(`${adopted?.id}-`);
  });
});

test("P3: a database that cannot be reached is not taken for one without an installation", async () => {
  await using db = await testDatabase();
  const client = await db.pool.connect();
  const read = findInstallation(client);
  client.release(true);
  await expect(read).rejects.toThrow("Connection terminated");
});
