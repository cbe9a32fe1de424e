import { expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { connectionConfig } from "../../src/pg/pool.ts";
import { pollSession } from "../../src/replication/poll-session.ts";
import type { ServerIdentity } from "../../src/replication/stream-session.ts";
import { startStream } from "../support/fault-stream.ts";
import { testDatabase } from "../support/postgres.ts";

/** Another key than the stream's, so that neither waits for the other. */
const LOCK = { classId: 1, shard: 0 };

const quiet = (): void => undefined;

test("P3: a session with a stream and one without report the same history of a server", async () => {
  await using db = await testDatabase();
  await using stream = await startStream(db.url);
  const led = Promise.withResolvers<ServerIdentity>();
  const stop = new AbortController();
  const polling = pollSession(
    {
      connection: connectionConfig(db.url, "pgnetd (pg_net) leader"),
      lock: LOCK,
      senderTimeoutMs: 4_000,
      fenceMs: 2_500,
      handover: null,
      begun: () => undefined,
      clock: systemClock,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    },
    { standby: () => undefined, leading: led.resolve, heard: () => undefined },
    stop.signal,
  );
  const withoutStream = await Promise.race([led.promise, polling]);
  stop.abort();
  await polling;
  expect(withoutStream).toBeDefined();
  expect(stream.identity).toEqual(withoutStream);
});
