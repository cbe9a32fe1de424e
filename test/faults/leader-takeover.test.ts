import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { startProxy } from "../support/proxy.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** A daemon whose posts show that it sent them: they carry no `Idempotency-Key`. */
const NAMELESS = { ...FAST, PGNETD_IDEMPOTENCY_KEY: "false" };

/** Posts on and on, one per transaction, until asked to stop; returns how many there were. */
function post(db: TestDatabase, receiver: Receiver, perSecond: number): () => Promise<number> {
  const end = new AbortController();
  const calls: Promise<unknown>[] = [];
  const posting = (async () => {
    while (!end.signal.aborted) {
      calls.push(db.query("select net.http_post($1)", [receiver.url(`/${calls.length}`)]));
      await delay(1_000 / perSecond);
    }
  })();
  return async () => {
    end.abort();
    await posting;
    await Promise.all(calls);
    return calls.length;
  };
}

/** Starts one after the other, so that the first leads. */
async function startDaemons(url: string, count: number, stack: AsyncDisposableStack): Promise<Daemon[]> {
  const daemons: Daemon[] = [];
  for (let index = 0; index < count; index += 1) {
    daemons.push(stack.use(await startDaemon({ databaseUrl: url, env: FAST })));
  }
  return daemons;
}

const leads = (daemon: Daemon): boolean => daemon.events().some(({ msg, to }) => msg === "phase" && to === "polling");

test("P2, P3: of three daemons one sends; killed, another sends within 1 s, and again; repeated is only what was in flight", async () => {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await testDatabase());
  const receiver = stack.use(await startReceiver());
  const daemons = await startDaemons(db.url, 3, stack);
  expect(daemons.map(leads)).toEqual([true, false, false]);
  receiver.behave({ kind: "answer", delayMs: 30 });
  const stop = post(db, receiver, 150);

  const gaps: number[] = [];
  let inFlight = 0;
  for (const kill of [1, 2]) {
    await receiver.waitFor(kill * 150);
    const leader = daemons.find((one) => leads(one));
    if (leader === undefined) throw new Error("nobody leads");
    leader.signal("SIGKILL");
    const killedAt = performance.timeOrigin + performance.now();
    await leader.ended;
    daemons.splice(daemons.indexOf(leader), 1);
    const before = receiver.requests.length;
    inFlight += receiver.requests.filter(({ at }) => at > killedAt - 200).length;
    await receiver.waitFor(before + 1, 5_000);
    gaps.push((receiver.requests[before]?.at ?? 0) - killedAt);
    expect(daemons.filter(leads)).toHaveLength(1);
  }
  const committed = await stop();
  await emptied(db);

  const counts = await countFault(db, receiver, committed);
  reportFault(counts, `taken over after ${gaps.map(Math.round).join(" and ")} ms`);
  expect(counts).toMatchObject({ answered: committed, lost: 0 });
  expect(counts.repeated).toBeLessThanOrEqual(inFlight);
  expect(Math.max(...gaps)).toBeLessThan(1_000);
});

test("P3: a leader cut off from the database starts nothing more before the next one starts, within 6 s", async () => {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await testDatabase());
  const receiver = stack.use(await startReceiver());
  const proxy = stack.use(await startProxy(db.url));
  const env = { ...NAMELESS, PGNETD_GRACE_MS: "0" };
  const first = stack.use(await startDaemon({ databaseUrl: proxy.through(db.url), env }));
  const second = stack.use(await startDaemon({ databaseUrl: db.url, env: FAST }));
  // Slow answers, so that the first has requests to start for as long as it may.
  receiver.behave({ kind: "answer", delayMs: 300 });
  await db.query("select count(net.http_post($1 || g)) from generate_series(1, 4000) g", [receiver.url("/before-")]);
  await receiver.waitFor(200);
  proxy.pause();
  const cutAt = performance.timeOrigin + performance.now();
  const kept = await db.query<{ path: string }>(
    "select regexp_replace(url, '^http://[^/]*', '') as path from net.http_request_queue",
  );
  const byFirst = (): readonly number[] =>
    receiver.requests.filter(({ headers }) => headers["idempotency-key"] === undefined).map(({ at }) => at - cutAt);
  const bySecond = (): readonly number[] =>
    receiver.requests.filter(({ headers }) => headers["idempotency-key"] !== undefined).map(({ at }) => at - cutAt);
  await eventually(() => bySecond().length > 0, 10_000);
  receiver.behave({ kind: "answer" });
  await emptied(db);
  const [lastMs, firstMs] = [Math.max(...byFirst()), Math.min(...bySecond())];

  const counts = await countFault(db, receiver, 4_000);
  // What was sent before the cut, and deleted from the outbox by then, is not sent again.
  const waiting = new Set(kept.map(({ path }) => path));
  const unwritten = receiver.requests.filter(
    ({ headers, path }) => headers["idempotency-key"] === undefined && waiting.has(path),
  ).length;
  reportFault(
    counts,
    `last start by the old leader after ${Math.round(lastMs)} ms, first by the new after ${Math.round(firstMs)} ms`,
  );
  expect(lastMs).toBeLessThan(firstMs);
  expect(lastMs).toBeLessThan(2_700);
  expect(firstMs).toBeLessThan(6_000);
  expect(counts).toMatchObject({ answered: 4_000, lost: 0 });
  expect(counts.repeated).toBeLessThanOrEqual(unwritten);

  // The old leader hears again: it stands by, and sends nothing.
  const sent = byFirst().length;
  proxy.resume();
  await first.ready();
  await db.query("select count(net.http_post($1 || g)) from generate_series(1, 100) g", [receiver.url("/after-")]);
  await emptied(db);
  expect(byFirst()).toHaveLength(sent);
  expect(leads(second)).toBe(true);
});

test("P3: a rolling update repeats nothing: the new daemon waits until the old one has written everything", async () => {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await testDatabase());
  const receiver = stack.use(await startReceiver());
  receiver.behave((_request, index) => ({ kind: "answer", delayMs: (index * 37) % 300 }));
  let [old] = await startDaemons(db.url, 1, stack);
  const stop = post(db, receiver, 150);
  const gaps: number[] = [];
  for (let update = 1; update <= 3; update += 1) {
    await receiver.waitFor(update * 100);
    const [next] = await startDaemons(db.url, 1, stack);
    const ended = await old?.stop();
    const endedAt = performance.timeOrigin + performance.now();
    expect(ended).toEqual({ code: 0, signal: null });
    await eventually(() => receiver.requests.some(({ at }) => at > endedAt), 5_000);
    gaps.push((receiver.requests.find(({ at }) => at > endedAt)?.at ?? 0) - endedAt);
    old = next;
  }
  const committed = await stop();
  await emptied(db);
  const counts = await countFault(db, receiver, committed);
  reportFault(counts, `the new one sent ${gaps.map(Math.round).join(", ")} ms after the old one's end`);
  expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });
});
