import { expect, test } from "vitest";
import { connectionConfig } from "../../src/pg/pool.ts";
import { Precedence } from "../../src/leader/precedence.ts";
import { pollSession } from "../../src/replication/poll-session.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

/** A session of which the clock goes on by hand alone: meanwhile it says nothing to the server. */
function poll(
  db: TestDatabase,
  { clock, senderTimeoutMs, signal }: { clock: FakeClock; senderTimeoutMs: number; signal: AbortSignal },
  heard: (at: number) => void,
): Promise<void> {
  return pollSession(
    {
      connection: connectionConfig(db.url, "pgnetd (pg_net) leader"),
      lock: { classId: LOCK_CLASS_ID, shard: 0 },
      precedence: new Precedence(),
      senderTimeoutMs,
      fenceMs: 3_000,
      handover: null,
      begun: () => undefined,
      clock,
      log: silentLog,
    },
    { standby: () => undefined, leading: () => undefined, heard },
    signal,
  );
}

test("P3: a session that leads without a stream was alive when it asked, not when the answer was read", async () => {
  await using db = await testDatabase();
  const clock = new FakeClock();
  const heard: number[] = [];
  const stop = new AbortController();
  const session = poll(db, { clock, senderTimeoutMs: 60_000, signal: stop.signal }, (at) => heard.push(at));
  try {
    await eventually(() => heard.length === 1);
    // It asks each third of the fence. No answer can be read before this turn of the event loop ends.
    clock.advance(1_000);
    for (let microtask = 0; microtask < 100; microtask++) await Promise.resolve();
    clock.advance(700);
    await eventually(() => heard.length === 2);
    expect(heard).toEqual([0, 1_000]);
  } finally {
    stop.abort();
    await session;
  }
});

test("P3: the server ends a session without a stream that says nothing any more, and with it the lock", async () => {
  await using db = await testDatabase();
  const stop = new AbortController();
  let leads = false;
  let failure: unknown;
  const options = { clock: new FakeClock(), senderTimeoutMs: 4_000, signal: stop.signal };
  const session = poll(db, options, () => (leads = true)).catch((error: unknown) => {
    failure = error;
  });
  try {
    await eventually(() => failure !== undefined);
    expect([leads, failure]).toEqual([true, expect.objectContaining({ code: "57P05" })]);
    const free = "select pg_try_advisory_lock($1, 0) as free";
    expect(await db.query(free, [LOCK_CLASS_ID])).toEqual([{ free: true }]);
  } finally {
    stop.abort();
    await session;
  }
});
