import { expect, test } from "vitest";
import { canSyncSlots, slotSynchronised, startFailover } from "../support/fault-failover.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue, keysByPath } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";

const BEFORE = 1_500;
const AFTER = 300;

const KINDS = (await canSyncSlots()) ? (["no slot", "a synchronised slot"] as const) : (["no slot"] as const);

test.each(KINDS)(
  "P2 P3: a standby with %s promoted under a running daemon, which is led to it: all answered, nothing repeated",
  async (kind) => {
    const syncSlots = kind === "a synchronised slot";
    await using pair = await startFailover({ syncSlots });
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await using daemon = await startInProcess(pair.url, {
      PGNETD_RATE_PER_SECOND: "1000",
      PGNETD_SLOT_FAILOVER: String(syncSlots),
    });
    if (syncSlots) await slotSynchronised(pair);
    await enqueue(pair.primary, receiver.url("/before"), BEFORE);
    await receiver.waitFor(500);
    const failedAt = performance.now();
    await pair.failOver();
    pair.point();
    const sent = receiver.requests.length;
    expect(sent).toBeLessThan(BEFORE);
    await receiver.waitFor(sent + 1, 20_000);
    const backMs = Math.round(performance.now() - failedAt);
    await enqueue(pair.standby, receiver.url("/after"), AFTER);
    await emptied(pair.standby, 20_000);

    const committed = BEFORE + AFTER;
    const counts = await countFault(pair.standby, receiver, committed);
    reportFault(counts, `sending again after ${backMs} ms`);
    expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });
    for (const keys of keysByPath(receiver.requests).values()) expect(keys.size).toBe(1);
    const made = daemon.lines.filter(({ message }) => message === "replication slot is made");
    expect(made).toHaveLength(syncSlots ? 1 : 2);
  },
);
