import { expect, test } from "vitest";
import { commitsWaiting, requireAbsentStandby, requireNoStandby } from "../support/absent-standby.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { type FaultServer, startFaultServer } from "../support/fault-server.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";

/** Longer than the daemon looks again by itself after a change. */
const UNSEEN_MS = 2_500;

/** Runs `statements` as one transaction whose commit is in the log, and so decoded, for a while before it is visible. */
async function commitNotVisible(db: FaultServer, statements: readonly string[]): Promise<void> {
  await requireAbsentStandby(db);
  await using client = await connectClient(db.url);
  await client.query("set synchronous_commit = on");
  await client.query("begin");
  for (const statement of statements) await client.query(statement);
  const ended = client.query("commit");
  await eventually(async () => (await commitsWaiting(db)) === 1);
  const began = performance.now();
  await eventually(() => performance.now() - began > UNSEEN_MS);
  expect(await commitsWaiting(db)).toBe(1);
  await requireNoStandby(db);
  await ended;
}

test("P2: net.wake() takes effect also where its commit waits for a standby", async () => {
  await using db = await startFaultServer({ synchronous_commit: "local" });
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  await db.query("select net.http_request('GET', $1, delay := '1 day')", [receiver.url("/woken")]);
  await commitNotVisible(db, ["update net.http_request_queue set next_attempt_at = null", "select net.wake()"]);
  await emptied(db);
  expect([...receiver.countByPath()]).toEqual([["/woken", 1]]);
});

test("P7: a host is paused also where the commit of its settings waits for a standby", async () => {
  await using db = await startFaultServer({ synchronous_commit: "local" });
  await using receiver = await startReceiver();
  await using _daemon = await startInProcess(db.url);
  await commitNotVisible(db, ["insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)"]);
  await using other = await startReceiver({ host: "127.0.0.2" });
  // Until the settings are read again, which is soon, requests leave.
  for (let count = 1; receiver.requests.length === count - 1; count++) {
    await enqueue(db, receiver.url("/"), 1);
    await enqueue(db, other.url("/"), 1);
    await other.waitFor(count);
    expect(count).toBeLessThan(1_000);
  }
  const sent = receiver.requests.length;
  await enqueue(db, receiver.url("/paused"), 5);
  await enqueue(db, other.url("/after"), 1);
  await eventually(() => other.requests.some(({ path }) => path.startsWith("/after")));
  expect(receiver.requests).toHaveLength(sent);
});
