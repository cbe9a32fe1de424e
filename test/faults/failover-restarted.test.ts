import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { canSyncSlots, caughtUp, type Failover, slotSynchronised, startFailover } from "../support/fault-failover.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue, keysByPath } from "../support/outbox.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const BEFORE = 1_500;
const AFTER = 300;
const KINDS = (await canSyncSlots()) ? (["no slot", "a synchronised slot"] as const) : (["no slot"] as const);

/** Paths that came and have no answer on the promoted standby: what may be repeated there, and nothing else. */
async function unwritten({ standby }: Failover, { requests }: Receiver): Promise<readonly string[]> {
  const waiting = await standby.query<{ url: string }>("select url from net.http_request_queue");
  const paths = new Set(waiting.map(({ url }) => URL.parse(url)?.pathname));
  return requests.map(({ path }) => path).filter((path) => paths.has(path));
}

/** Paths that came more than once. */
function repeated(receiver: Receiver): readonly string[] {
  return [...receiver.countByPath()].filter(([, times]) => times > 1).map(([path]) => path);
}

/** Each path came with one `Idempotency-Key` only. */
function expectSameKeys({ requests }: Receiver): void {
  for (const keys of keysByPath(requests).values()) {
    expect(keys.size).toBe(1);
    expect([...keys][0]).toMatch(/^[0-9a-f-]{36}-\d+$/);
  }
}

test.each(KINDS)(
  "P2 P3: daemon and primary killed at once, a standby with %s promoted, and a daemon started there: all answered, only what was in flight repeated",
  async (kind) => {
    const syncSlots = kind === "a synchronised slot";
    const env = { PGNETD_RATE_PER_SECOND: "1000", PGNETD_SLOT_FAILOVER: String(syncSlots) };
    await using pair = await startFailover({ syncSlots });
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await using first = await startDaemon({ databaseUrl: pair.primary.url, env });
    if (syncSlots) await slotSynchronised(pair);
    await enqueue(pair.primary, receiver.url("/before"), BEFORE);
    await receiver.waitFor(500);
    await Promise.all([first.kill(), pair.failOver()]);
    const inFlight = await unwritten(pair, receiver);
    const sent = receiver.requests.length;
    expect(sent).toBeLessThan(BEFORE);
    expect(inFlight.length).toBeLessThan(sent);

    const began = performance.now();
    await using second = await startDaemon({ databaseUrl: pair.standby.url, env, waitUntilReady: false });
    await receiver.waitFor(sent + 1, 20_000);
    const firstMs = Math.round(performance.now() - began);
    await second.ready();
    await enqueue(pair.standby, receiver.url("/after"), AFTER);
    await emptied(pair.standby, 20_000);

    const committed = BEFORE + AFTER;
    const counts = await countFault(pair.standby, receiver, committed);
    reportFault(counts, `first request ${firstMs} ms after the start`);
    expect(counts).toMatchObject({ sent: committed + inFlight.length, answered: committed, lost: 0 });
    expect(repeated(receiver).toSorted()).toEqual(inFlight.toSorted());
    expectSameKeys(receiver);
    const made = second.events().filter(({ msg }) => msg === "replication slot is made");
    expect(made).toHaveLength(syncSlots ? 0 : 1);
  },
);

test("P2 P3: results that never reached the standby: their requests are sent again with the same key, all others once", async () => {
  await using pair = await startFailover({ synchronous: false });
  await using receiver = await startReceiver();
  const env = { PGNETD_RATE_PER_SECOND: "1000" };
  await using first = await startDaemon({ databaseUrl: pair.primary.url, env });
  await enqueue(pair.primary, receiver.url("/known"), 300);
  await emptied(pair.primary);
  receiver.behave((_request, index) => (index % 2 === 0 ? { kind: "hang" } : { kind: "answer" }));
  await enqueue(pair.primary, receiver.url("/half"), 60);
  await caughtUp(pair);
  await receiver.waitFor(360);
  pair.detach();
  receiver.behave({ kind: "answer" });
  // These are gone with the primary, as every commit that waits for nobody: they are sent, and on record nowhere.
  await enqueue(pair.primary, receiver.url("/gone"), 200);
  await receiver.waitFor(560);
  await Promise.all([first.kill(), pair.failOver()]);
  const inFlight = await unwritten(pair, receiver);

  await using _second = await startDaemon({ databaseUrl: pair.standby.url, env });
  await emptied(pair.standby, 20_000);
  const counts = await countFault(pair.standby, receiver, 360);
  reportFault(counts, "200 were sent whose commit the standby never had");
  expect(counts).toMatchObject({ sent: 560 + inFlight.length, answered: 360, lost: 0 });
  expect(inFlight.length).toBeGreaterThanOrEqual(30);
  expect(repeated(receiver).toSorted()).toEqual(inFlight.toSorted());
  expectSameKeys(receiver);
});
