import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { toError } from "../../src/base/errors.ts";
import { readConfig } from "../../src/config/load.ts";
import { sessionsOf } from "../../src/daemon/sessions.ts";
import { readInstallation } from "../../src/pg/installation.ts";
import { openPool } from "../../src/pg/pool.ts";
import { LivenessTimeout } from "../../src/replication/liveness-timeout.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { eventually } from "../support/eventually.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase } from "../support/postgres.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { silentLog } from "../support/silent-log.ts";
import { SLOT_PLUGIN } from "../support/slot-plugin.ts";

/** Three times as long as the server waits here for a sign of life of this process. */
const STALL_MS = 3_000;

/** Nothing goes on in this process meanwhile, as when it is suspended; `later` says what is called first after it. */
async function stall(later: (call: () => void) => unknown): Promise<{ stalledAt: number; resumedAt: number }> {
  return new Promise((resolve) => {
    later(() => {
      const stalledAt = systemClock.now();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
      resolve({ stalledAt, resumedAt: systemClock.now() });
    });
  });
}

test.each([
  ["sockets are read", setTimeout],
  ["timers are called", setImmediate],
])(
  "P3: what the server wrote before this process stalled is no sign of life where afterwards first %s",
  async (_, later) => {
    await using db = await testDatabase();
    const heard: { readonly aliveAt: number; readonly readAt: number; readonly losses: number }[] = [];
    await using stream = await startStream(db.url, {
      senderTimeoutMs: STALL_MS / 3,
      heard: (aliveAt, losses) => heard.push({ aliveAt, readAt: systemClock.now(), losses }),
    });
    await eventually(() => heard.length > 3);
    const { stalledAt, resumedAt } = await stall(later);
    await eventually(() => stream.losses > 0);
    const readLate = heard.filter(({ readAt, losses }) => readAt >= resumedAt && losses === 0);
    expect(readLate.filter(({ aliveAt }) => aliveAt > stalledAt)).toEqual([]);
  },
);

test("P3: what a network that was cut delivers late is no sign of life of a session that the server ended meanwhile", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  const heard: { readonly aliveAt: number; readonly losses: number }[] = [];
  await using stream = await startStream(proxy.through(db.url), {
    senderTimeoutMs: 1_000,
    livenessTimeout: new LivenessTimeout(60_000),
    heard: (aliveAt, losses) => heard.push({ aliveAt, losses }),
  });
  await eventually(() => stream.heard > 3);
  proxy.pause();
  const pausedAt = systemClock.now();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  await eventually(
    async () =>
      (
        await db.query(
          "select from pg_stat_replication where application_name = 'pgnetd (pg_net) leader' and pid in (select pid from pg_stat_activity where datname = current_database())",
        )
      ).length === 0,
  );
  expect(stream.ids).toEqual([]);
  proxy.resume();
  await stream.waitFor(1);
  await eventually(() => stream.losses > 0);
  const late = heard.filter(({ aliveAt, losses }) => aliveAt > pausedAt + 750 && losses === 0);
  expect(late).toEqual([]);
});

test("P3: what comes is a sign of life of when the server was asked before it, not of when it came", async () => {
  await using db = await testDatabase();
  let askedAt: number | null = null;
  const heard: { readonly aliveAt: number; readonly askedAt: number }[] = [];
  await using stream = await startStream(db.url, {
    senderTimeoutMs: 20_000,
    fenceMs: 10_000,
    asked: () => (askedAt = systemClock.now()),
    heard: (aliveAt) => askedAt !== null && heard.push({ aliveAt, askedAt }),
  });
  await eventually(async () => {
    await db.query("select net.http_get('http://127.0.0.1:9/')");
    return heard.length > 20;
  });
  expect(heard.filter((one) => one.aliveAt > one.askedAt)).toEqual([]);
  expect(stream.losses).toBe(0);
});

/** The network says nothing for 400 ms; resolves once the session is heard again, with when the network went on. */
async function silence(proxy: Proxy, heard: readonly number[]): Promise<number> {
  proxy.pause();
  const pausedAt = systemClock.now();
  await eventually(() => systemClock.now() - pausedAt > 400);
  proxy.resume();
  const resumedAt = systemClock.now();
  await eventually(() => heard.some((aliveAt) => aliveAt > resumedAt));
  return resumedAt;
}

test("P3: after a silence longer than the fence a session is heard again that leads still", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  const heard: number[] = [];
  await using stream = await startStream(proxy.through(db.url), {
    senderTimeoutMs: 60_000,
    fenceMs: 200,
    heard: (aliveAt) => heard.push(aliveAt),
  });
  await eventually(() => stream.heard > 3);
  await silence(proxy, heard);
  expect(stream.losses).toBe(0);
});

test("P2: each session of a daemon bears the silence of a server longer than the one before that got no further", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 30_000 });
  const { config } = readConfig({
    env: {
      DATABASE_URL: proxy.through(db.url),
      PGNETD_SLOT_PLUGIN: SLOT_PLUGIN,
      PGNETD_SENDER_TIMEOUT_MS: "1000",
      PGNETD_FENCE_MS: "700",
    },
  });
  const quiet = (): void => undefined;
  const sessions = sessionsOf({
    config,
    installation: await readInstallation(pool, null),
    db: pool,
    listener: {
      standby: quiet,
      leading: quiet,
      streaming: () => proxy.pause(),
      received: quiet,
      heard: quiet,
      asked: quiet,
      answered: quiet,
      begin: quiet,
      insert: quiet,
      change: quiet,
      truncate: quiet,
      message: quiet,
      commit: quiet,
      lost: quiet,
    },
    outage: quiet,
    serverTime: quiet,
    clock: systemClock,
    log: silentLog,
  });
  const attempt = { begun: quiet, outage: quiet, renewSlot: false, handover: null };
  const reasons: string[] = [];
  // More than two where something was received in the moment before the silence.
  while (reasons.length < 8 && !reasons.at(-1)?.includes("2000 ms")) {
    proxy.resume();
    const ended = sessions.stream(attempt, new AbortController().signal);
    reasons.push(await ended.then(String, (error: unknown) => toError(error).message));
  }
  expect(reasons.at(-1)).toBe("nothing was heard from the server for 2000 ms");
});

test("P3: after a stall of this process a session that leads still is heard for what the server has processed since", async () => {
  await using db = await testDatabase();
  const heard: number[] = [];
  await using stream = await startStream(db.url, {
    db: db.pool,
    senderTimeoutMs: 60_000,
    fenceMs: 1_500,
    heard: (aliveAt) => heard.push(aliveAt),
  });
  await eventually(() => stream.heard > 3);
  // Its commit reaches this process while that is stalled.
  const inserted = db.query("select pg_sleep(1); select net.http_get('http://127.0.0.1:9/')");
  const sleeping = "select from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
  await eventually(async () => (await db.query(sleeping)).length === 1);
  const { stalledAt, resumedAt } = await stall(setTimeout);
  await inserted;
  await stream.waitFor(1);
  await eventually(() => heard.some((aliveAt) => aliveAt > resumedAt));
  expect(stream.losses).toBe(0);
  // Nothing was sent meanwhile that the server could have processed.
  expect(heard.filter((aliveAt) => aliveAt > stalledAt && aliveAt < resumedAt)).toEqual([]);
});

test("P3: what a network delivers that was cut is no sign of life of a session that leads still, while the server has not heard that session", async () => {
  await using db = await testDatabase();
  await using proxy = await startProxy(db.url);
  const heard: number[] = [];
  await using stream = await startStream(proxy.through(db.url), {
    db: db.pool,
    senderTimeoutMs: 4_000,
    fenceMs: 1_000,
    livenessTimeout: new LivenessTimeout(60_000),
    heard: (aliveAt) => heard.push(aliveAt),
  });
  await eventually(() => stream.heard > 3);
  proxy.pause();
  const pausedAt = systemClock.now();
  await db.query("select net.http_get('http://127.0.0.1:9/')");
  await eventually(() => systemClock.now() - pausedAt > 1_500);
  proxy.deliver();
  await stream.waitFor(1);
  const leads = "select from pg_replication_slots where active and database = current_database()";
  await eventually(async () => (await db.query(leads)).length === 0);
  // What was on its way when the network was cut may have come.
  expect(heard.filter((aliveAt) => aliveAt > pausedAt + 50)).toEqual([]);
  proxy.resume();
});

test("P3: an idle session that was silent for longer than the fence is heard again, for a role without special rights, too", async () => {
  await using role = await daemonRole();
  await using db = await testDatabase({ migrated: false });
  const url = await role.own(db);
  await using proxy = await startProxy(url);
  await using pool = openPool({ url, size: 1, statementTimeoutMs: 30_000 });
  const heard: number[] = [];
  await using stream = await startStream(proxy.through(url), {
    db: pool,
    senderTimeoutMs: 60_000,
    fenceMs: 200,
    heard: (aliveAt) => heard.push(aliveAt),
  });
  await eventually(() => stream.heard > 3);
  for (let round = 0; round < 3; round++) {
    const resumedAt = await silence(proxy, heard);
    expect(systemClock.now() - resumedAt).toBeLessThan(1_000);
  }
  expect(stream.losses).toBe(0);
});
