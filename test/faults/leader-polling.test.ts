import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited", PGNETD_HOST_CONCURRENCY: "500" };

/** Phases that a daemon came to, in order. */
const phases = (daemon: Daemon): readonly unknown[] =>
  daemon
    .events()
    .filter(({ msg }) => msg === "phase")
    .map(({ to }) => to);

/** Requests every 200 ms, `per` at a time, for so long; returns how many. */
async function enqueueFor(
  db: TestDatabase,
  receiver: Receiver,
  path: string,
  ms: number,
  per: number,
): Promise<number> {
  const times = Math.round(ms / 200);
  for (let one = 0; one < times; one++) {
    await enqueue(db, receiver.url(`/${path}-${one}-`), per);
    await delay(200);
  }
  return times * per;
}

/** Another use of the slot's name: no stream can be had. */
async function takeSlotName(db: TestDatabase): Promise<AsyncDisposable> {
  const name = `pgnetd_${db.name}`;
  await db.query("select pg_create_physical_replication_slot($1)", [name]);
  return {
    async [Symbol.asyncDispose]() {
      await db.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", [
        name,
      ]);
    },
  };
}

test("P3: without a stream the leader polls on beside its tries for one, and hands over to its stream, not to the standby", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 2_000 });
  await using taken = await takeSlotName(db);
  await using first = await startDaemon({ databaseUrl: db.url, env: FAST });
  await eventually(() => phases(first).includes("polling"));
  await using second = await startDaemon({ databaseUrl: db.url, env: FAST });

  let committed = await enqueueFor(db, receiver, "polled", 8_000, 5);
  expect(phases(first)).toEqual(["polling"]);
  const mending = enqueueFor(db, receiver, "mended", 12_000, 5);
  const mendedAt = performance.now();
  await taken[Symbol.asyncDispose]();
  await eventually(() => phases(first).includes("live"), 15_000);
  const mendedMs = Math.round(performance.now() - mendedAt);
  committed += await mending;
  await emptied(db);
  expect(phases(second)).toEqual([]);
  const counts = await countFault(db, receiver, committed);
  expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });

  receiver.behave({ kind: "answer" });
  await first.kill();
  const killedAt = performance.now();
  await enqueue(db, receiver.url("/taken-over-"), 5);
  await receiver.waitFor(committed + 5);
  const takenOverMs = Math.round(performance.now() - killedAt);
  reportFault(counts, `streamed ${mendedMs} ms after the mending; killed, taken over after ${takenOverMs} ms`);
  expect(takenOverMs).toBeLessThan(1_000);
});

test("P3: a slot that waits to be made beside the polling leader disturbs nothing, and is taken up when made", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 1_000 });
  await using taken = await takeSlotName(db);
  // The fence is shorter than the waiting: the session that leads must be heard meanwhile.
  const env = { ...FAST, PGNETD_SENDER_TIMEOUT_MS: "2000", PGNETD_FENCE_MS: "1500" };
  await using first = await startDaemon({ databaseUrl: db.url, env });
  await eventually(() => phases(first).includes("polling"));
  await using second = await startDaemon({ databaseUrl: db.url, env });
  await using old = await connectClient(db.url);
  await old.query("begin");
  await old.query("create table public.report (n int)");
  await taken[Symbol.asyncDispose]();
  await eventually(() => first.log().includes("can be made when these have ended"), 20_000);
  let committed = await enqueueFor(db, receiver, "waiting", 4_000, 5);
  expect(phases(first)).toEqual(["polling"]);
  await old.query("commit");
  committed += await enqueueFor(db, receiver, "made", 2_000, 5);
  await emptied(db);
  await eventually(() => phases(first).includes("live"));
  expect(phases(second)).toEqual([]);
  const counts = await countFault(db, receiver, committed);
  reportFault(counts);
  expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });
});

test("P3: the leader killed while it polls and tries: the standby leads at once, and repeats only what was in flight", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 1_000 });
  await using _taken = await takeSlotName(db);
  await using first = await startDaemon({ databaseUrl: db.url, env: FAST });
  await eventually(() => phases(first).includes("polling"));
  await using second = await startDaemon({ databaseUrl: db.url, env: FAST });
  let committed = await enqueueFor(db, receiver, "before", 2_000, 5);
  await first.kill();
  const killedAt = performance.now();
  // What arrived earlier was answered after a second, and the answer written.
  const inFlight = receiver.requests.filter(({ at }) => at > performance.timeOrigin + killedAt - 2_500).length;
  await eventually(() => phases(second).includes("polling"), 5_000);
  const takenOverMs = Math.round(performance.now() - killedAt);
  committed += await enqueueFor(db, receiver, "after", 2_000, 5);
  await emptied(db);
  const counts = await countFault(db, receiver, committed);
  reportFault(counts, `taken over after ${takenOverMs} ms`);
  expect(counts).toMatchObject({ answered: committed, lost: 0 });
  expect(counts.repeated).toBeLessThanOrEqual(inFlight);
  expect(takenOverMs).toBeLessThan(1_000);
});
