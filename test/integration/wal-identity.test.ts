import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { connectionConfig } from "../../src/pg/pool.ts";
import { Precedence } from "../../src/leader/precedence.ts";
import { pollSession } from "../../src/replication/poll-session.ts";
import type { ServerIdentity } from "../../src/replication/session-options.ts";
import { type LockKey, LOCK_CLASS_ID } from "../../src/wal/advisory-lock.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { silentLog } from "../support/silent-log.ts";

/** Runs a session without a stream until it leads, or waits for the lock; returns the server that it then reports. */
async function withoutStream(db: TestDatabase, lock: LockKey): Promise<ServerIdentity> {
  const reported = Promise.withResolvers<ServerIdentity>();
  const stop = new AbortController();
  const polling = pollSession(
    {
      connection: connectionConfig(db.url, "pgnetd (pg_net) leader"),
      lock,
      precedence: new Precedence(),
      senderTimeoutMs: 4_000,
      fenceMs: 2_500,
      handover: null,
      begun: () => undefined,
      clock: systemClock,
      log: silentLog,
    },
    { standby: (_, server) => reported.resolve(server), leading: reported.resolve, heard: () => undefined },
    stop.signal,
  );
  try {
    return await Promise.race([reported.promise, polling.then(() => expect.fail("it ended and reported nothing"))]);
  } finally {
    stop.abort();
    await polling;
  }
}

/** What of a server stays the same while its log grows. */
const history = ({ systemId, timeline }: ServerIdentity): Omit<ServerIdentity, "end"> => ({ systemId, timeline });

test("P3: a session with a stream and one without report the same history of a server", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url);
  // Another key than the stream's, so that neither waits for the other.
  const server = await withoutStream(db, { classId: 1, shard: 0 });
  expect(stream.identity).toMatchObject(history(server));
});

test("P8: a session that waits for the lock reports the history of its server, with a stream to come and without", async () => {
  await using db = await testDatabase();
  await using ends = new AsyncDisposableStack();
  await using leader = await startStream(db.url);
  const server = await withoutStream(db, { classId: LOCK_CLASS_ID, shard: 0 });
  expect(leader.identity).toMatchObject(history(server));
  const waits = Promise.withResolvers<ServerIdentity>();
  const next = startStream(db.url, { standby: waits.resolve });
  // It flows when the leader has ended.
  ends.defer(async () => (await next)[Symbol.asyncDispose]());
  expect(await Promise.race([waits.promise, next])).toMatchObject(history(server));
});
