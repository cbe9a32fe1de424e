import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

import { RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { drive, latencies, quantile } from "../support/traffic.ts";

const PER_SECOND = 100;

/** Receivers on addresses of their own, 127.0.0.2 and on, all of which accept and never answer, after the first `answered`. */
async function hanging(count: number, stack: AsyncDisposableStack, answered = 0): Promise<readonly Receiver[]> {
  const receivers: Receiver[] = [];
  for (let index = 0; index < count; index += 1) {
    const receiver = stack.use(await startReceiver({ host: `127.0.0.${index + 2}` }));
    receiver.behave((_request, at) => ({ kind: at < answered ? "answer" : "hang" }));
    receivers.push(receiver);
  }
  return receivers;
}

async function fill(db: TestDatabase, hung: readonly Receiver[], count: number): Promise<void> {
  await db.query(`select count(net.http_post(($1::text[])[1 + g % $2::int] || g)) from generate_series(1, $3::int) g`, [
    hung.map((one) => one.url("/before-")),
    hung.length,
    count,
  ]);
}

/** A function that sends every `every`th request to one of the hung hosts, the others to `good`. */
function mixed(phase: string, good: Receiver, hung: readonly Receiver[], every: number): (index: number) => string {
  return (index) => {
    const to = index % every === 0 ? hung[(index / every) % hung.length] : undefined;
    return (to ?? good).url(`/${phase}-${index}`);
  };
}

test.each([
  { every: 100, hosts: 1, before: 0, rate: "200" },
  { every: 2, hosts: 1, before: 5_000, rate: "200" },
  { every: 2, hosts: 3, before: 5_000, rate: "200" },
  { every: 2, hosts: 12, before: 5_000, rate: "unlimited" },
])(
  "P6: one request in $every goes to one of $hosts hosts that hang, $before wait for them before, rate $rate: the others arrive as soon as ever",
  { timeout: 60_000 },
  async ({ every, hosts, before, rate }) => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const good = stack.use(await startReceiver());
    const hung = await hanging(hosts, stack);
    const env = { PGNETD_RATE_PER_SECOND: rate, PGNETD_GRACE_MS: "0" };
    stack.use(await startDaemon({ databaseUrl: db.url, env }));
    const run = async (phase: string, ms: number, share: number): Promise<readonly number[]> =>
      latencies(await drive({ db, perSecond: PER_SECOND, ms, to: mixed(phase, good, hung, share) }), good);

    const without = await run("without", 1_500, Infinity);
    if (before > 0) await fill(db, hung, before);
    // That they hang shows once their places are taken, which at 200 per second takes a third of a second each.
    const first = await run("first", 3_000, every);
    const later = await run("later", 4_000, every);

    // Of the few beyond it a busy machine may delay some; who waits for places that hang waits for seconds.
    const [was, is] = [quantile(without, 0.9), quantile(later, 0.9)];
    expect(is, `p90 was ${was} ms`).toBeLessThan(Math.max(200, 5 * was));
    expect(quantile(later, 0.99)).toBeLessThan(2_000);
    expect(quantile(later, 0.5)).toBeLessThan(Math.max(20, 5 * quantile(without, 0.5)));
    expect(first.at(-1)).toBeLessThan(6_000);
    for (const one of hung) expect(one.requests.length).toBeGreaterThan(0);
  },
);

test(
  "P6: requests that wait for a host that hangs are not touched, and sent, each once, when it recovers",
  { timeout: 60_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const good = stack.use(await startReceiver());
    const [hung] = await hanging(1, stack);
    if (hung === undefined) throw new Error("no receiver");
    stack.use(await startDaemon({ databaseUrl: db.url, env: { PGNETD_RATE_PER_SECOND: "unlimited" } }));
    await fill(db, [hung], 3_000);
    await drive({ db, perSecond: PER_SECOND, ms: 3_000, to: mixed("meanwhile", good, [hung], 2) });
    const [waiting] = await db.query<{ untouched: number; updated: number }>(
      `select count(*) filter (where next_attempt_at is null)::int as untouched,
      (select n_tup_upd from pg_stat_user_tables where relname = 'http_request_queue')::int as updated
    from net.http_request_queue`,
    );
    expect(waiting?.untouched).toBeGreaterThan(2_000);
    expect(waiting?.updated).toBe(0);

    hung.behave({ kind: "answer" });
    await emptied(db, 30_000);
    const [ends] = await db.query<{ answered: number; failed: number }>(
      `select count(*) filter (where status_code = 200)::int as answered, count(*) filter (where timed_out)::int as failed
    from net._http_response`,
    );
    expect(ends?.failed).toBeLessThanOrEqual(64 + 1);
    expect((ends?.answered ?? 0) + (ends?.failed ?? 0)).toBe(3_000 + 300);
    expect([hung.requests.length, hung.countByPath().size]).toEqual([3_150, 3_150]);
  },
);

test(
  "what somebody puts off while it waits in the outbox is not sent before its time",
  { timeout: 60_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const [hung] = await hanging(1, stack);
    if (hung === undefined) throw new Error("no receiver");
    const daemon = stack.use(await startDaemon({ databaseUrl: db.url, env: { PGNETD_RATE_PER_SECOND: "200" } }));
    await daemon.live();
    await db.query("insert into net.http_host_settings (host, concurrency) values ('127.0.0.2', 4)");
    await fill(db, [hung], 1_000);
    await hung.waitFor(4);
    const put = await db.query(
      "update net.http_request_queue set next_attempt_at = 'infinity' where id > 500 returning id",
    );
    expect(put).toHaveLength(500);
    hung.behave({ kind: "answer" });
    const waiting = async (): Promise<number> => (await db.query("select from net.http_request_queue")).length;
    await eventually(async () => (await waiting()) === put.length, 30_000);
    await db.query("update net.http_request_queue set next_attempt_at = null");
    await db.query("select net.wake()");
    await emptied(db, 30_000);
    expect(hung.countByPath().size).toBe(1_000);
  },
);

test("P5 P6: memory stays bounded while large requests wait for hosts that hang", { timeout: 60_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await testDatabase());
  const good = stack.use(await startReceiver());
  const hung = await hanging(3, stack);
  const env = { PGNETD_RATE_PER_SECOND: "unlimited", PGNETD_MEMORY_BYTES: "32MiB", PGNETD_GRACE_MS: "0" };
  const daemon = stack.use(await startDaemon({ databaseUrl: db.url, env }));
  const residentMb = async (): Promise<number> => {
    const status = await readFile(`/proc/${daemon.pid}/status`, "utf8");
    return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
  };
  const body = "jsonb_build_object('x', repeat('x', 200000))";
  await db.query(`select count(net.http_post(($1::text[])[1 + g % 3] || g, ${body})) from generate_series(1, 1000) g`, [
    hung.map((one) => one.url("/large-")),
  ]);
  // The stream brings nobody else's rows while it is at these.
  const received = `select from pg_replication_slots where active and confirmed_flush_lsn >= $1::pg_lsn - ${RESERVE_BYTES}::numeric`;
  const [written] = await db.query<{ at: string }>("select pg_current_wal_lsn()::text as at");
  await eventually(async () => (await db.query(received, [written?.at])).length > 0, 30_000);
  const told = await drive({ db, perSecond: PER_SECOND, ms: 3_000, to: (index) => good.url(`/${index}`) });
  // Who waits for a host that hangs waits for its timeout, of five seconds.
  expect(quantile(await latencies(told, good), 0.99)).toBeLessThan(3_000);
  // Two hundred megabytes wait; Node itself takes some hundred.
  expect(await residentMb()).toBeLessThan(400);
});

const NEVER = 2 ** 31 - 1;
const MIB = 1024 ** 2;

test(
  "P5 P6: large bodies in flight to hosts that never answer leave others their memory",
  { timeout: 60_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const good = stack.use(await startReceiver());
    const hung = await hanging(8, stack);
    const env = { PGNETD_RATE_PER_SECOND: "unlimited", PGNETD_GRACE_MS: "0", PGNETD_MEMORY_BYTES: "4MiB" };
    stack.use(await startDaemon({ databaseUrl: db.url, env }));
    for (const [to, bytes] of [
      [0, 5 * MIB],
      [1, 2 * MIB],
      [2, 2 * MIB],
      ...[3, 4, 5, 6, 7].map((host) => [host, MIB - 2_000]),
    ]) {
      await db.query(
        "select net.http_post($1, jsonb_build_object('x', repeat('x', $2::int)), timeout_milliseconds := $3)",
        [hung[to ?? 0]?.url("/"), bytes, NEVER],
      );
      // It is larger than all memory, which has room for it only while nothing else is large.
      if (to === 0) await hung[0]?.waitFor(1, 20_000);
    }
    await eventually(() => hung.slice(3).some(({ connections }) => connections > 0));
    const took = await latencies(await drive({ db, perSecond: 20, ms: 2_000, to: () => good.url("/") }), good);
    expect(took.at(-1)).toBeLessThan(1_000);
  },
);

test(
  "P6: hosts that never answer have their places for no longer than the longest time for a request",
  { timeout: 60_000 },
  async () => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const good = stack.use(await startReceiver());
    const hung = await hanging(40, stack);
    const env = {
      PGNETD_RATE_PER_SECOND: "unlimited",
      PGNETD_GRACE_MS: "0",
      PGNETD_CONCURRENCY: "16",
      PGNETD_MAX_TIMEOUT_MS: "1000",
    };
    stack.use(await startDaemon({ databaseUrl: db.url, env }));
    for (const one of hung)
      await db.query("select net.http_get($1, timeout_milliseconds := $2)", [one.url("/"), NEVER]);
    await db.query("select net.http_get($1)", [good.url("/")]);
    await good.waitFor(1, 20_000);
    await emptied(db);
    const [ended] = await db.query(
      "select count(*)::int as count from net._http_response where error_msg like 'Timeout of 1000 ms reached%'",
    );
    expect(ended).toEqual({ count: 40 });
  },
);

// Both at once, since both wait for as long as a place may be held.
test.concurrent.each([
  { whose: "that answered once", answered: 1 },
  { whose: "never seen before", answered: 0 },
])(
  "P6: beside hosts $whose that hang for ten minutes in all places, a responsive host and one never seen before are answered within half a minute",
  { timeout: 120_000 },
  async ({ answered }) => {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await testDatabase());
    const good = stack.use(await startReceiver());
    const unseen = stack.use(await startReceiver({ host: "127.0.0.250" }));
    const hung = await hanging(40, stack, answered);
    const env = { PGNETD_RATE_PER_SECOND: "unlimited", PGNETD_GRACE_MS: "0", PGNETD_CONCURRENCY: "32" };
    stack.use(await startDaemon({ databaseUrl: db.url, env }));
    await db.query("select net.http_get($1)", [good.url("/first")]);
    if (answered > 0) await fill(db, hung, hung.length);
    await emptied(db, 20_000);
    await db.query(
      "select count(net.http_get(($1::text[])[1 + g % $2::int], timeout_milliseconds := 600000)) from generate_series(1, $3::int) g",
      [hung.map((one) => one.url("/hangs")), hung.length, 2 * hung.length],
    );
    const inFlight = (): number => hung.reduce((sum, { requests }) => sum + requests.length - answered, 0);
    // Of 32 places four are left to responsive hosts.
    const most = answered > 0 ? 32 : 28;
    await eventually(() => inFlight() === most, 20_000);
    await db.query("select net.http_get($1), net.http_get($2)", [good.url("/second"), unseen.url("/first")]);
    await Promise.all([good.waitFor(2, 40_000), unseen.waitFor(1, 40_000)]);

    const ended = "select error_msg from net._http_response where timed_out";
    await eventually(async () => (await db.query(ended)).length > 0);
    const message =
      /^Ended after 2\d{4} ms, before its timeout of 600000 ms, since all places in flight \(http\.concurrency\) were taken/;
    for (const row of await db.query<{ error_msg: string }>(ended)) expect(row.error_msg).toMatch(message);
  },
);
