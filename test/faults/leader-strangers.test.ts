import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { refuseDaemons } from "../../src/ops/refuse-daemons.ts";
import { HANDOVER_CLASS_ID, LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { configFile } from "../support/config-file.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";
import { drive, latencies, quantile } from "../support/traffic.ts";

let role: string;
let first: TestDatabase;
beforeAll(async () => {
  first = await testDatabase();
  role = `${first.name}_mallory`;
  await first.query(`create role ${role} login password 'secret'`);
});
afterAll(async () => {
  await first.query(`drop role ${role}`);
  await first[Symbol.asyncDispose]();
});

/** A session of a role without any right of its own, under the name that the leader's session has. */
async function mallory(db: TestDatabase): Promise<pg.Client & AsyncDisposable> {
  const url = new URL(db.url);
  url.username = role;
  url.password = "secret";
  const client = new pg.Client({ connectionString: url.href, application_name: "pgnetd (pg_net) leader" });
  client.on("error", () => undefined);
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return Object.assign(client, {
    [Symbol.asyncDispose]: async () => {
      await db.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
      await client.end();
    },
  });
}

async function status(db: TestDatabase): Promise<unknown> {
  try {
    const context = { env: { DATABASE_URL: db.url }, print: () => undefined };
    await runProgram(["status"], { ...context, stop: new AbortController().signal });
    return null;
  } catch (error) {
    return error;
  }
}

test("a role that takes the leader's lock under the leader's name is taken for no daemon, and is an alarm everywhere", async () => {
  await using db = await testDatabase();
  await using stranger = await mallory(db);
  await stranger.query("select pg_advisory_lock($1, 0), pg_advisory_lock($1, 3)", [LOCK_CLASS_ID]);
  await expect(db.query("select net.check_worker_is_up()")).rejects.toMatchObject({ code: "55000" });
  await expect(
    db.query("begin; set local statement_timeout = '300ms'; select net.wait_until_running(); commit"),
  ).rejects.toMatchObject({ code: "57014" });
  await db.query("rollback");
  const named = new RegExp(
    `^process \\d+ \\(pgnetd \\(pg_net\\) leader, role ${role}\\) has the leader's lock and is no pgnetd`,
  );
  const hint = new RegExp(
    `^End it: select pg_terminate_backend\\(\\d+\\); -- as role ${role} or a member of pg_signal_backend or a superuser$`,
  );
  expect(await status(db)).toMatchObject({
    message: expect.stringMatching(named) as unknown,
    exitCode: 69,
    hint: expect.stringMatching(hint) as unknown,
  });

  await using daemon = await startDaemon({ databaseUrl: db.url, waitUntilReady: false });
  await eventually(async () => {
    const response = await fetch(`${daemon.address}/readyz`).catch(() => null);
    return response?.status === 503 && named.test(((await response.json()) as { detail: string }).detail);
  });
  await eventually(() => daemon.events().some((line) => line["level"] === "warn" && hint.test(String(line["hint"]))));
  await stranger[Symbol.asyncDispose]();
  await daemon.live();
  await db.query("select net.check_worker_is_up()");
  expect(await status(db)).toBeNull();
});

test("P3: restarts, whoever asks for them, keep leadership, end nothing in flight and lose it to nobody who waits for it", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 1_000 });
  await using daemon = await startDaemon({ databaseUrl: db.url });
  await daemon.live();
  const leader = await db.query("select net._leader_pid() as pid");
  await using stranger = await mallory(db);
  const taken = stranger.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]).then(
    () => "taken",
    () => "ended",
  );
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 20) g", [receiver.url("/")]);
  await receiver.waitFor(1);
  await using other = await mallory(db);
  await other.query("select net.worker_restart(), net.wait_until_running(), net.check_worker_is_up()");
  await eventually(() => daemon.log().includes("connections are reopened"));
  await emptied(db);
  expect(await db.query("select net._leader_pid() as pid")).toEqual(leader);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([20, 20]);
  expect(daemon.events().filter(({ msg, from }) => msg === "phase" && from === "live")).toEqual([]);
  await stranger[Symbol.asyncDispose]();
  expect(await taken).toBe("ended");
});

test("P2, P3: changed settings are taken over while a stranger waits for the lock: nothing stops, and nothing is sent twice", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 100 });
  await using file = await configFile("rate:\n  perSecond: 20\n");
  await using daemon = await startDaemon({ databaseUrl: db.url, args: ["--config", file.path] });
  await daemon.live();
  await db.query("select count(net.http_get($1 || g)) from generate_series(1, 200) g", [receiver.url("/")]);
  await receiver.waitFor(10);
  await using stranger = await mallory(db);
  const taken = stranger.query("select pg_advisory_lock($1, 0)", [LOCK_CLASS_ID]);
  taken.catch(() => undefined);
  await eventually(
    async () => (await db.query("select from pg_locks where not granted and locktype = 'advisory'")).length > 0,
  );
  await file.write("rate:\n  perSecond: 200\n");
  await db.query("select net.worker_restart()");
  await taken;
  expect(await db.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
  await emptied(db, 10_000);
  expect(daemon.log()).toContain("this daemon stays leader without it, but no later one can lead");
  expect((await fetch(`${daemon.address}/readyz`)).status).toBe(200);
  expect(await status(db)).toBeNull();
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([200, 200]);
  await stranger[Symbol.asyncDispose]();
  await daemon.live();
}, 60_000);

/** Prepares a transaction that holds the lock, as a role without any right of its own; closing it rolls it back. */
async function preparedBy(db: TestDatabase, classId: number): Promise<{ readonly end: string } & AsyncDisposable> {
  const gid = `'it''s ${db.name}'`;
  const end = `rollback prepared ${gid}`;
  await using stranger = await mallory(db);
  await stranger.query(`begin; select pg_advisory_xact_lock(${classId}, 0)`);
  await stranger.query(`prepare transaction ${gid}`);
  return { end, [Symbol.asyncDispose]: async () => void (await db.query(end).catch(() => undefined)) };
}

test.for([
  ["leader's lock", LOCK_CLASS_ID, 503, "a prepared transaction ("],
  ["lock for handing over", HANDOVER_CLASS_ID, 200, "leading"],
] as const)("a prepared transaction with the %s is taken for no daemon, and its end is named", async (one) => {
  const [, classId, ready, said] = one;
  await using db = await testDatabase();
  await using prepared = await preparedBy(db, classId);
  const text = `a prepared transaction ('it''s ${db.name}', role ${role}) has the leader's lock and is no pgnetd`;
  const hint = `End it: ${prepared.end}; -- as role ${role} or a superuser`;
  expect(await status(db)).toMatchObject({ message: expect.stringContaining(text) as unknown, exitCode: 69, hint });
  await using daemon = await startDaemon({ databaseUrl: db.url, waitUntilReady: false });
  await eventually(async () => {
    const response = await fetch(`${daemon.address}/readyz`).catch(() => null);
    const { detail = "" } = ((await response?.json()) ?? {}) as { detail?: string };
    return response?.status === ready && detail.startsWith(said);
  });
  // Until then no replication slot can be made either.
  await db.query(prepared.end);
  await daemon.live();
  expect(await status(db)).toBeNull();
});

test("commands that no daemon may run beside name a prepared transaction that has the leader's lock", async () => {
  await using db = await testDatabase();
  await using prepared = await preparedBy(db, LOCK_CLASS_ID);
  await expect(db.pool.connect().then(refusedBy)).rejects.toMatchObject({
    message: expect.stringMatching(/^a prepared transaction \(.*\) has the leader's lock and is no pgnetd$/) as unknown,
    hint: `End it: ${prepared.end}; -- as role ${role} or a superuser`,
  });
});

async function refusedBy(client: pg.PoolClient): Promise<void> {
  try {
    await client.query("begin");
    await refuseDaemons(client);
  } finally {
    client.release(true);
  }
}

test("a role that holds the lock for handing over keeps nobody from leading", async () => {
  await using db = await testDatabase();
  await using stranger = await mallory(db);
  await stranger.query("select pg_advisory_lock($1, 0)", [HANDOVER_CLASS_ID]);
  await using first = await startDaemon({ databaseUrl: db.url });
  await first.live();
  await using second = await startDaemon({ databaseUrl: db.url });
  await first.stop();
  await second.live();
  expect(await db.query("select net.check_worker_is_up() as up")).toEqual([{ up: "" }]);
});

test("P6, P8: a flood of control messages ends nothing, holds up nobody's requests, and leads to a handful of statements", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using daemon = await startDaemon({ databaseUrl: db.url });
  await daemon.live();
  const leader = await db.query("select net._leader_pid() as pid");
  await using stranger = await mallory(db);
  const flood = async (): Promise<void> => {
    for (const command of ["restart", "wake", "restart", "wake", "unknown"]) {
      await stranger.query(
        "select count(pg_logical_emit_message(false, 'pgnetd', $1)) from generate_series(1, 20000)",
        [`{"command":"${command}"}`],
      );
    }
  };
  const transactions = async (): Promise<number> => {
    const [row] = await db.query<{ count: number }>(
      "select xact_commit::int as count from pg_stat_database where datname = current_database()",
    );
    return row?.count ?? 0;
  };
  const before = await transactions();
  await flood();
  await db.query("select net.http_get($1)", [receiver.url("/last")]);
  await receiver.waitFor(1);
  await emptied(db);
  // Sessions report their numbers when they are idle, at most once a second.
  await stranger.query("select pg_sleep(1.1)");
  await db.query("select 1");
  expect((await transactions()) - before).toBeLessThan(100);

  const during = flood();
  const told = await drive({ db, perSecond: 50, ms: 4_000, to: (index) => receiver.url(`/${index}`) });
  await during;
  const took = await latencies(told, receiver);
  expect(quantile(took, 1)).toBeLessThan(5_000);
  await emptied(db);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([201, 201]);
  expect(await db.query("select net._leader_pid() as pid")).toEqual(leader);
  expect(daemon.events().filter(({ msg }) => String(msg).startsWith("restart")).length).toBeLessThanOrEqual(8);
  expect(daemon.events().filter(({ msg }) => msg === "control message").length).toBeLessThanOrEqual(4);
  reportLatency(took);
}, 60_000);

function reportLatency(took: readonly number[]): void {
  const [median, most] = [quantile(took, 0.5), quantile(took, 1)].map((ms) => ms.toFixed(0));
  process.stdout.write(`during a flood of 100,000 messages: median ${median} ms, longest ${most} ms\n`);
}
