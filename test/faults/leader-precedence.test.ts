import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { type FaultServer, startFaultServer } from "../support/fault-server.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startReceiver } from "../support/receiver.ts";

const COUNT = 2_000;
/** Slow enough for a fault in the middle. */
const ENV = { PGNETD_RATE_PER_SECOND: "1000" };

/** Whether `daemon` has ever led. */
const hasLed = (daemon: Daemon): boolean => daemon.events().some(({ msg }) => msg === "phase");

/** Resolves when a session of a daemon that leads, or would, is connected. */
async function sessionBack(db: FaultServer): Promise<void> {
  await eventually(
    async () =>
      (await db.query("select from pg_stat_activity where application_name = 'pgnetd (pg_net) leader'")).length > 0,
  );
}

test.each(["immediate", "fast"] as const)(
  "P3: PostgreSQL stopped (%s) and started, the standby is back before the leader: that one leads again, nothing is repeated",
  async (mode) => {
    await using db = await startFaultServer();
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await enqueue(db, receiver.url("/"), COUNT);
    await using first = await startDaemon({ databaseUrl: db.url, env: ENV });
    await using second = await startDaemon({ databaseUrl: db.url, env: ENV });
    const backMs: number[] = [];
    for (const part of [300, 800, 1_300]) {
      await receiver.waitFor(part, 20_000);
      await db.server.stop(mode);
      first.signal("SIGSTOP");
      await db.server.start();
      const began = performance.now();
      await sessionBack(db);
      first.signal("SIGCONT");
      const sent = receiver.requests.length;
      await receiver.waitFor(sent + 1, 20_000);
      backMs.push(Math.round(performance.now() - began));
    }
    await emptied(db);

    await expectExactlyOnce(db, receiver, COUNT, `sending again after ${backMs.join(", ")} ms`);
    expect(hasLed(second)).toBe(false);
  },
);

test("P2 P3: the leader killed together with PostgreSQL: the standby leads within 2.5 s of the start, repeated is only what was in flight", async () => {
  await using db = await startFaultServer();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 20 });
  await enqueue(db, receiver.url("/"), COUNT);
  await using first = await startDaemon({ databaseUrl: db.url, env: ENV });
  await using second = await startDaemon({ databaseUrl: db.url, env: ENV });
  await receiver.waitFor(800, 20_000);
  const killedAt = performance.timeOrigin + performance.now();
  first.signal("SIGKILL");
  await db.server.stop("immediate");
  await db.server.start();
  const began = performance.now();
  const sent = receiver.requests.length;
  const inFlight = receiver.requests.filter(({ at }) => at > killedAt - 200).length;
  await receiver.waitFor(sent + 1, 20_000);
  const backMs = Math.round(performance.now() - began);
  await emptied(db);

  const counts = await countFault(db, receiver, COUNT);
  reportFault(counts, `sending again ${backMs} ms after the start`);
  expect(hasLed(second)).toBe(true);
  expect(counts).toMatchObject({ answered: COUNT, lost: 0 });
  expect(counts.repeated).toBeLessThanOrEqual(inFlight);
  expect(backMs).toBeLessThan(2_500);
});
