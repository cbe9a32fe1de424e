import { expect, test } from "vitest";
import { connectionConfig } from "../../src/pg/pool.ts";
import { pollSession } from "../../src/replication/poll-session.ts";
import { LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { eventually } from "../support/eventually.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { testDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

test("P3: a session that leads without a stream was alive when it asked, not when the answer was read", async () => {
  await using db = await testDatabase();
  const clock = new FakeClock();
  const heard: number[] = [];
  const stop = new AbortController();
  const session = pollSession(
    {
      connection: connectionConfig(db.url, "pgnetd (pg_net) leader"),
      lock: { classId: LOCK_CLASS_ID, shard: 0 },
      senderTimeoutMs: 60_000,
      fenceMs: 3_000,
      handover: null,
      begun: () => undefined,
      clock,
      log: silentLog,
    },
    { standby: () => undefined, leading: () => undefined, heard: (at) => heard.push(at) },
    stop.signal,
  );
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
