import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { startNetwork, type Traffic } from "../support/fault-network.ts";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { type InProcessDaemon, startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const COUNT = 2_000;
const SENDER_TIMEOUT_MS = 1_000;
const FENCE_MS = 700;
const STATEMENT_TIMEOUT_MS = 2_000;
const ENV = {
  PGNETD_RATE_PER_SECOND: "500",
  PGNETD_SENDER_TIMEOUT_MS: String(SENDER_TIMEOUT_MS),
  PGNETD_FENCE_MS: String(FENCE_MS),
  PGNETD_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MS),
};

/** How often the daemon has lost its session. */
function losses({ lines }: InProcessDaemon): number {
  return lines.filter(({ message, to }) => message === "phase" && to === "not-leading").length;
}

// What is frozen, whether the session is lost, when it falls silent at the latest and when it goes on. Where only statements hang, the next
// connection works: nothing need fall silent.
const FROZEN: readonly (readonly [string, readonly Traffic[], boolean, number, number])[] = [
  ["the replication connection", ["replication"], true, FENCE_MS, SENDER_TIMEOUT_MS],
  ["the SQL connections", ["sql"], false, Infinity, STATEMENT_TIMEOUT_MS],
  ["all connections", ["replication", "sql"], true, FENCE_MS, STATEMENT_TIMEOUT_MS],
];

test.each(FROZEN)(
  "P2 P3: %s half-open while 2,000 drain: noticed in time, all answered, nothing repeated",
  async (_name, traffics, isLost, silentAfterMs, againAfterMs) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await using network = await startNetwork(db.url);
    await using daemon = await startInProcess(network.url, ENV);
    await enqueue(db, receiver.url("/"), COUNT);
    await receiver.waitFor(300);
    const frozenAt = performance.timeOrigin + performance.now();
    for (const traffic of traffics) network.freeze(traffic);
    await emptied(db);

    const counts = await countFault(db, receiver, COUNT);
    const pause = longestPause(receiver.requests.map(({ at }) => at - frozenAt));
    reportFault(counts, `nothing sent from ${pause.from} to ${pause.to} ms after it`);
    expect(counts).toEqual({ committed: COUNT, sent: COUNT, answered: COUNT, lost: 0, repeated: 0 });
    expect(losses(daemon) > 0).toBe(isLost);
    // P3: silence on the replication connection fences the leader before anybody else can lead.
    expect(pause.from).toBeLessThan(silentAfterMs + 300);
    // Connections are made anew, on a busy machine too; who does not notice waits for TCP, for far longer.
    expect(pause.to).toBeLessThan(againAfterMs + 3_000);
  },
);

/** The longest time in which nothing arrived, in milliseconds after 0. */
function longestPause(times: readonly number[]): { readonly from: number; readonly to: number } {
  let longest = { from: 0, to: 0 };
  let from = 0;
  for (const to of times.filter((at) => at > 0)) {
    if (to - from > longest.to - longest.from) longest = { from: Math.round(from), to: Math.round(to) };
    from = to;
  }
  return longest;
}

test("P2: the whole network cut off for longer than every timeout: said so, and everything goes on by itself", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using network = await startNetwork(db.url);
  await using daemon = await startInProcess(network.url, ENV);
  await enqueue(db, receiver.url("/"), COUNT);
  await receiver.waitFor(300);
  network.cutOff("replication");
  network.cutOff("sql");
  const ready = async (): Promise<boolean> => (await fetch(`${daemon.address}/readyz`)).ok;
  const began = performance.now();
  await eventually(async () => !(await ready()), SENDER_TIMEOUT_MS * 2 + 1_000);
  const noticedMs = Math.round(performance.now() - began);
  const sent = receiver.requests.length;
  await eventually(() => daemon.lines.some(({ reason }) => reason === "timeout expired"), 15_000);
  expect(receiver.requests.length).toBe(sent);
  network.restore("replication");
  network.restore("sql");
  await eventually(ready, 15_000);
  await emptied(db);

  await expectExactlyOnce(db, receiver, COUNT, `not ready after ${noticedMs} ms`);
});

test("P2 P3: asked to stop while PostgreSQL does not answer, it ends with its grace time; the next sends the rest", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using network = await startNetwork(db.url);
  await enqueue(db, receiver.url("/"), COUNT);
  const daemon = await startDaemon({
    databaseUrl: network.url,
    env: { PGNETD_RATE_PER_SECOND: "500", PGNETD_GRACE_MS: "1000" },
  });
  await receiver.waitFor(300);
  network.cutOff("replication");
  network.cutOff("sql");
  const began = performance.now();
  expect(await daemon.stop()).toMatchObject({ code: 0, signal: null });
  const tookMs = Math.round(performance.now() - began);
  const waiting = await db.query<{ path: string }>(
    "select regexp_replace(url, '^.*/', '/') as path from net.http_request_queue",
  );
  const sent = receiver.countByPath();
  const unwritten = waiting.filter(({ path }) => sent.has(path)).length;
  // The server has to give up the sessions of the one that is gone.
  await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'pgnetd%'",
  );
  await using _next = await startDaemon({ databaseUrl: db.url, env: { PGNETD_RATE_PER_SECOND: "unlimited" } });
  await emptied(db);
  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `ended after ${tookMs} ms, ${unwritten} sent and not written`);
  expect(tookMs).toBeLessThan(3_000);
  expect(counts).toEqual({ committed: COUNT, sent: COUNT + unwritten, answered: COUNT, lost: 0, repeated: unwritten });
});
