import { expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { runCommandLine } from "../support/command.ts";
import { migrate } from "../../src/pg/migrate.ts";
import { codeBlocks, readDocument } from "../support/markdown.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { startProxy } from "../support/proxy.ts";
import { startReceiver } from "../support/receiver.ts";
import { testDatabase } from "../support/postgres.ts";
import { wantedMajor } from "../support/postgres-versions.ts";

/** Runs `pgnetd status` against `url`; what it printed, and how it ended. */
async function status(
  url: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly lines: string[]; readonly failure: unknown }> {
  const lines: string[] = [];
  const context = { env: { DATABASE_URL: url, ...env }, print: (line: string) => void lines.push(line) };
  const failure = await runProgram(["status"], { ...context, stop: new AbortController().signal }).then(
    () => null,
    (error: unknown) => error,
  );
  return { lines, failure };
}

test("status says why it cannot look, each with its exit code", async () => {
  await using db = await testDatabase({ migrated: false });
  const url = new URL(db.url);
  const at = (change: (url: URL) => void): string => {
    const other = new URL(url);
    change(other);
    return other.href;
  };
  expect((await status(db.url)).failure).toMatchObject({ code: "SCHEMA_MISSING", exitCode: 65 });
  const nowhere = at((other) => (other.pathname = "/there_is_none"));
  expect((await status(nowhere)).failure).toMatchObject({ code: "PG_REFUSED", exitCode: 77 });
  const closed = at((other) => (other.port = "1"));
  expect((await status(closed)).failure).toMatchObject({ code: "PG_UNREACHABLE", exitCode: 69 });
});

test("where no password is set status and daemon say so, and leave no login that is not ended", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  const bare = new URL(proxy.through(db.url));
  bare.password = "";
  const message = "the database cannot be used: the server asks for a password, and none is set";
  expect((await status(bare.href)).failure).toMatchObject({ code: "PG_REFUSED", message });
  await eventually(() => proxy.open === 0);
  await using daemon = await startDaemon({ databaseUrl: bare.href, waitUntilReady: false });
  await eventually(() => daemon.log().includes(message));
  await eventually(() => proxy.open === 0);
});

test("status names a session that is no pgnetd and has the leader's lock", async () => {
  await using db = await testDatabase();
  const client = await db.pool.connect();
  await client.query("set application_name = 'psql'");
  await client.query("select pg_advisory_lock(1885826676, 0)");
  const { lines, failure } = await status(db.url);
  await client.query("select pg_advisory_unlock_all()");
  client.release(true);
  expect(lines.join("\n")).toMatch(/leader +process \d+ \(psql, role \S+\)/);
  expect(failure).toMatchObject({
    message: expect.stringMatching(
      /^process \d+ \(psql, role \S+\) has the leader's lock and is no pgnetd, so that/,
    ) as unknown,
    hint: expect.stringMatching(/^End it: select pg_terminate_backend\(\d+\); -- as role \S+ or /) as unknown,
  });
});

test("status shows no leader where a session of another database has the lock", async () => {
  await using db = await testDatabase();
  await using other = await testDatabase();
  const client = await other.pool.connect();
  await client.query("select pg_advisory_lock(1885826676, 0)");
  const { lines, failure } = await status(db.url);
  client.release(true);
  expect(lines.join("\n")).toMatch(/leader +none/);
  expect(failure).toMatchObject({ message: "no pgnetd leads this database, so that requests wait" });
});

test("status fails where the database is recorded for another environment, whoever leads it", async () => {
  await using db = await testDatabase({ migrated: false });
  await migrate(db.url, { environment: { name: "production", claim: true } });
  await using _daemon = await startInProcess(db.url, { PGNETD_ENVIRONMENT: "production" });
  expect((await status(db.url, { PGNETD_ENVIRONMENT: "production" })).failure).toBeNull();
  const { lines, failure } = await status(db.url, { PGNETD_ENVIRONMENT: "staging" });
  expect(lines.join("\n")).toMatch(/environment +production/);
  expect(failure).toMatchObject({ code: "WRONG_ENVIRONMENT" });
});

test("status shows who leads, the slot's health and the queue; it fails while nobody leads", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  const before = await status(db.url);
  expect(before.failure).toMatchObject({ message: "no pgnetd leads this database, so that requests wait" });
  expect(before.lines.join("\n")).toMatch(/waiting +1 \(0 for a later time\)/);
  expect(before.lines.join("\n")).toMatch(/slot +\S+: missing/);

  await using _daemon = await startInProcess(db.url);
  const after = await status(db.url);
  expect(after.failure).toBeNull();
  expect(after.lines.join("\n")).toMatch(/leader +process \d+ \(pgnetd \(pg_net\) leader, role \S+\)/);
  expect(after.lines.join("\n")).toMatch(/slot +\S+: ok/);
});

test("status fails where the daemon beside it leads and sends nothing, such as on a full disk, and says why", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url);
  await using standby = await startInProcess(db.url, {}, "standby");
  const beside = ({ address }: InProcessDaemon): Record<string, string> => {
    const { hostname, port } = new URL(address);
    return { PGNETD_HOST: hostname, PGNETD_PORT: port };
  };
  const env = beside(daemon);
  expect((await status(db.url, env)).failure).toBeNull();
  await db.query(`create function public.full() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`);
  await db.query(
    "create trigger full_disk before insert on net._http_response for each row execute function public.full()",
  );
  await db.query("select net.http_get($1)", [receiver.url()]);
  const { failure } = await eventually(async () => {
    const now = await status(db.url, env);
    return now.failure !== null && now;
  });
  expect(failure).toMatchObject({
    exitCode: 75,
    message: expect.stringMatching(
      /^the daemon at \S+ leads and sends nothing: no request starts, since results cannot be written: could not extend/,
    ) as unknown,
    hint: "Mend what it names; it goes on by itself.",
  });
  // Which the daemon on standby does not know, and does not seem to.
  const elsewhere = await status(db.url, beside(standby));
  expect(elsewhere.failure).toBeNull();
  expect(elsewhere.lines.join("\n")).toMatch(
    /daemon here +standby at \S+; whether the leader starts requests is known to it alone: ask beside it/,
  );
  await db.query("drop trigger full_disk on net._http_response");
  await eventually(async () => (await status(db.url, env)).failure === null);
});

test("status names the session that the creation of the slot waits for", async () => {
  await using db = await testDatabase();
  const client = await db.pool.connect();
  try {
    await client.query("begin; select pg_current_xact_id()");
    await using daemon = await startInProcess(db.url, {}, "polling");
    const { lines, failure } = await eventually(async () => {
      const now = await status(db.url);
      return String(now.failure).includes("ended: process") && now;
    });
    expect(lines.join("\n")).toMatch(/slot +pgnetd_\S+: creating/);
    expect(failure).toMatchObject({
      code: "STREAM_UNAVAILABLE",
      message: expect.stringMatching(/^replication slot "\S+" can be made when these have ended: process/) as unknown,
      hint: expect.stringContaining("requests are sent meanwhile") as unknown,
    });
    await client.query("commit");
    await eventually(async () => {
      const health = (await (await fetch(`${daemon.address}/readyz`)).json()) as { readonly state: string };
      return health.state === "live";
    }, 20_000);
    expect((await status(db.url)).failure).toBeNull();
  } finally {
    client.release(true);
  }
});

test.for(["-infinity", "infinity"])("status shows everything beside a request created at %s", async (created) => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_request_queue (id, method, url, timeout_milliseconds, created)
     values (-5, 'GET', 'http://127.0.0.1:9/', 1, $1)`,
    [created],
  );
  const documented = codeBlocks(await readDocument("docs/operations.md"));
  const oldest = documented.find(({ text }) => text.includes("oldest_due_seconds"))?.text ?? "";
  expect(await db.query(oldest)).toEqual([{ oldest_due_seconds: "0" }]);
  await db.query("update net.http_request_queue set next_attempt_at = 'infinity'");
  await using _daemon = await startInProcess(db.url);
  const { lines, failure } = await status(db.url);
  expect(failure).toBeNull();
  expect(lines.join("\n")).toMatch(/waiting +1 \(1 for a later time\)/);
  expect(lines.join("\n")).toMatch(/oldest +request -5, 0\.0 s/);
});

test("requests that a direct insert gave low ids do not hide the oldest one from status", async () => {
  await using db = await testDatabase();
  await db.query(`
    insert into net.http_request_queue (id, method, url, timeout_milliseconds, created, next_attempt_at)
    select id, 'GET', 'http://127.0.0.1:9/', 1, created, 'infinity'
    from (values (-7, now()), (-6, '-infinity'), (1, 'infinity'), (2, now()), (3, now() - interval '1 hour'), (4, now())) r (id, created)`);
  expect((await status(db.url)).lines.join("\n")).toMatch(/oldest +request 3, 36\d\d\.\d s/);
  await db.query("update net.http_request_queue set created = now() - interval '2 hours' where id = -7");
  expect((await status(db.url)).lines.join("\n")).toMatch(/oldest +request -7, 7[23]\d\d\.\d s/);
});

test("status warns of publications of others that have requests, and the statements that it names take them out", async () => {
  await using db = await testDatabase();
  await db.query(`
    create publication whole for all tables;
    create publication "To Us" for table net.http_request_queue, net._http_response;
    create table own (id int primary key); create publication own for table own`);
  const warnings = async (): Promise<string[]> =>
    (await status(db.url)).lines.filter((line) => line.startsWith("warning"));
  const [listed, whole, ...more] = await warnings();
  expect(more).toEqual([]);
  expect(listed).toContain("publication To Us has requests, with their headers and bodies, or their answers: ");
  expect(listed).toContain("net._http_response, net.http_request_queue. To take them out: alter publication");
  expect(whole).toContain("publication whole has requests");
  await db.query(listed?.split("To take them out: ")[1] ?? "");
  await db.query("drop publication whole; create publication whole for table own");
  expect(await warnings()).toEqual([]);
});

test.runIf(wantedMajor() >= 15)("status knows a publication of the schema from one of its tables", async () => {
  await using db = await testDatabase();
  await db.query("create publication mixed for tables in schema net, table net.http_dead_letter");
  const [warning = ""] = (await status(db.url)).lines.filter((line) => line.startsWith("warning"));
  expect(warning).toContain("alter publication mixed drop tables in schema net; alter publication mixed drop table");
  await db.query(warning.split("To take them out: ")[1] ?? "");
  expect((await status(db.url)).lines.filter((line) => line.startsWith("warning"))).toEqual([]);
});

test("status --json has what its lines have, and the problem", async () => {
  await using db = await testDatabase();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  const { lines, failure } = await runCommandLine(db.url, "status", "--json");
  expect(failure).toMatchObject({ code: "PG_UNREACHABLE" });
  expect(JSON.parse(lines.join("\n"))).toMatchObject({
    environment: null,
    mode: "send",
    leader: null,
    daemonHere: { at: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as unknown },
    slot: { name: `pgnetd_${db.name}`, health: "missing", blockers: [] },
    outbox: { rows: 1, deferred: 0, oldest: { id: "1" } },
    deadLetters: 0,
    foreignPublications: [],
    problem: { code: "PG_UNREACHABLE", message: "no pgnetd leads this database, so that requests wait" },
  });
});

test("status --watch reads until it is asked to end, also while the database is away, and rewrites its lines on a terminal", async () => {
  await using db = await testDatabase();
  const url = new URL(db.url);
  url.pathname = "/there_is_none";
  const watch = async (at: string, live: boolean, ...flags: readonly string[]): Promise<readonly string[][]> => {
    const stop = new AbortController();
    const shown: string[][] = [];
    const show = (lines: readonly string[]): void => {
      shown.push([...lines]);
      if (shown.length === 2) stop.abort();
    };
    const view = { show, clear: () => undefined, [Symbol.dispose]: () => undefined };
    const print = (line: string): void => (live ? undefined : show([line]));
    const context = { env: { DATABASE_URL: at }, print, live: live ? () => view : null, stop: stop.signal };
    await runProgram(["status", "--watch", ...flags], context);
    return shown;
  };
  const [first = []] = await watch(db.url, true);
  expect(first.join("\n")).toMatch(/leader +none[^]*no pgnetd leads this database[^]*hint: Start one/);
  const away = await watch(url.href, false, "--json");
  expect(away.map(([line = ""]) => JSON.parse(line) as unknown)).toMatchObject([
    { problem: { code: "PG_REFUSED" } },
    { problem: { code: "PG_REFUSED" } },
  ]);
});
