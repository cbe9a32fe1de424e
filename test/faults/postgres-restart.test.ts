import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { expectExactlyOnce } from "../support/fault-report.ts";
import { startFaultServer } from "../support/fault-server.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const COUNT = 2_000;
/** Slow enough for a fault in the middle. */
const ENV = { PGNETD_RATE_PER_SECOND: "1000" };

test.each(["immediate", "fast"] as const)(
  "P2 P3: PostgreSQL stopped (%s) and started three times while 2,000 drain: all answered, nothing repeated",
  async (mode) => {
    await using db = await startFaultServer();
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await enqueue(db, receiver.url("/"), COUNT);
    await using daemon = await startInProcess(db.url, ENV);
    const backMs: number[] = [];
    for (const part of [300, 800, 1_300]) {
      await receiver.waitFor(part, 20_000);
      await db.server.stop(mode);
      await db.server.start();
      const began = performance.now();
      const sent = receiver.requests.length;
      await receiver.waitFor(sent + 1, 20_000);
      backMs.push(Math.round(performance.now() - began));
    }
    await emptied(db);

    await expectExactlyOnce(db, receiver, COUNT, `sending again after ${backMs.join(", ")} ms`);
    // Each reason is reported once, not with each try: ended, refused, starting up.
    const tries = daemon.lines.filter(({ message }) => message === "no connection to the database");
    expect(tries.length).toBeGreaterThan(0);
    expect(tries.length).toBeLessThanOrEqual(3 * 3);
  },
);

const VICTIMS = {
  "the walsender": "backend_type = 'walsender'",
  "the sessions that write results": "backend_type = 'client backend' and application_name = 'pgnetd (pg_net)'",
  "every session of pgnetd": "application_name like 'pgnetd%'",
};

test.each(Object.entries(VICTIMS))(
  "P2 P3: %s ended again and again while 2,000 drain: all answered, nothing repeated",
  async (_name, victims) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    receiver.behave({ kind: "answer", delayMs: 20 });
    await using _daemon = await startInProcess(db.url, ENV);
    // Half is swept, half is streamed.
    await enqueue(db, receiver.url("/a"), COUNT / 2);
    let ended = 0;
    for (let part = 100; part <= 1_900; part += 300) {
      await receiver.waitFor(part, 20_000);
      const rows = await eventually(async () => {
        const found = await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and ${victims}`,
        );
        // At the very end there may be none left.
        return (found.length > 0 || receiver.requests.length === COUNT) && found;
      });
      ended += rows.length;
      if (part === 400) {
        for (let one = 1; one <= 100; one++) {
          await db.query("select count(net.http_post($1 || g)) from generate_series(1, 10) g", [
            receiver.url(`/b${one}-`),
          ]);
        }
      }
    }
    await emptied(db);

    await expectExactlyOnce(db, receiver, COUNT, `${ended} sessions ended`);
    expect(ended).toBeGreaterThanOrEqual(3);
  },
);

test("P2: a daemon started while PostgreSQL is down waits for it, and sends what waits", async () => {
  await using db = await startFaultServer();
  await using receiver = await startReceiver();
  await enqueue(db, receiver.url("/"), 100);
  await db.server.stop("immediate");
  const starting = startInProcess(db.url, ENV);
  starting.catch(() => undefined);
  await db.server.start();
  await using daemon = await starting;
  await emptied(db);
  await expectExactlyOnce(db, receiver, 100);
  expect(daemon.lines).toContainEqual(expect.objectContaining({ code: "PG_UNREACHABLE" }));
});
