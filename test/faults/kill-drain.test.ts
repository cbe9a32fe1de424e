import { expect, test } from "vitest";

import { type Ended, startDaemon } from "../support/daemon.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue, keysByPath, sessionsGone } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const COUNT = 5_000;
const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** Calls `act` once, at the arrival of request number `at`, before it is answered. */
function atArrival(receiver: Receiver, at: number, act: () => void, delayMs: () => number): void {
  receiver.behave((_request, index) => {
    if (index === at) act();
    return { kind: "answer", delayMs: delayMs() };
  });
}

test("P2 P3: SIGKILL ten times while 5,000 drain: all answered, repeated is only what was unwritten, with its key", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueue(db, receiver.url("/"), COUNT);
  const unwritten: number[] = [];
  const mayRepeat = new Map<string, number>();
  for (let kill = 0; kill < 10; kill += 1) {
    const daemon = await startDaemon({ databaseUrl: db.url, env: FAST, waitUntilReady: false });
    const before = receiver.requests.length;
    atArrival(
      receiver,
      before + 200 + Math.floor(Math.random() * 200),
      () => daemon.signal("SIGKILL"),
      () => 0,
    );
    expect(await daemon.ended).toMatchObject({ signal: "SIGKILL" });
    await sessionsGone(db);
    const left = await db.query<{ path: string }>(
      "select regexp_replace(url, '^.*/', '/') as path from net.http_request_queue",
    );
    const arrived = new Set(receiver.requests.slice(before).map(({ path }) => path));
    const both = left.filter(({ path }) => arrived.has(path));
    for (const { path } of both) mayRepeat.set(path, (mayRepeat.get(path) ?? 0) + 1);
    unwritten.push(both.length);
  }
  receiver.behave({ kind: "answer" });
  await using _last = await startDaemon({ databaseUrl: db.url, env: FAST });
  await emptied(db);

  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `sent but unwritten at each kill: ${unwritten.join(" ")}`);
  expect(counts).toMatchObject({ answered: COUNT, lost: 0 });
  // In flight to one host, and answered in the two batches on their way into the database.
  expect(Math.max(...unwritten)).toBeLessThanOrEqual(64 + 2 * 500);
  expect(counts.repeated).toBeLessThanOrEqual(unwritten.reduce((sum, one) => sum + one, 0));
  for (const [path, times] of receiver.countByPath()) {
    expect([path, times]).toEqual([path, 1 + (mayRepeat.get(path) ?? 0)]);
  }
  const keys = [...keysByPath(receiver.requests).values()];
  expect(keys.filter((one) => one.size !== 1 || one.has(undefined))).toEqual([]);
  expect(new Set(keys.map(([one]) => one)).size).toBe(COUNT);
});

test("P3: SIGTERM at any moment, six times while 5,000 drain: nothing is repeated", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await enqueue(db, receiver.url("/"), COUNT);
  // Slow enough that something is left for each.
  const env = { PGNETD_RATE_PER_SECOND: "1000" };
  const ends: Ended[] = [];
  for (let stop = 0; stop < 6; stop += 1) {
    const daemon = await startDaemon({ databaseUrl: db.url, env, waitUntilReady: false });
    const terminate = (): void => daemon.signal("SIGTERM");
    // Some while it sends, some at any time from its very start on.
    const at = stop % 2 === 0 ? receiver.requests.length + Math.floor(Math.random() * 500) : Infinity;
    atArrival(receiver, at, terminate, () => Math.random() * 40);
    if (at === Infinity) setTimeout(terminate, Math.random() * 1_200);
    ends.push(await daemon.ended);
  }
  receiver.behave({ kind: "answer" });
  const waited = Number((await db.query<{ count: string }>("select count(*) from net.http_request_queue"))[0]?.count);
  await using _last = await startDaemon({ databaseUrl: db.url, env: FAST });
  await emptied(db);

  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `${waited} left after the sixth`);
  // Before Node runs a line of ours, the signal itself ends the process.
  expect(ends.filter(({ code, signal }) => code !== 0 && signal !== "SIGTERM")).toEqual([]);
  expect(counts).toEqual({ committed: COUNT, sent: COUNT, answered: COUNT, lost: 0, repeated: 0 });
});
