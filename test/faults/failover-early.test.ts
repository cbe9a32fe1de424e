import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startFailover } from "../support/fault-failover.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { startReceiver } from "../support/receiver.ts";

const BEFORE = 1_500;
const AFTER = 300;

test("P2 P3: a daemon led to a standby that is promoted later sends nothing till then, and then everything once", async () => {
  await using pair = await startFailover();
  await using receiver = await startReceiver();
  receiver.behave({ kind: "answer", delayMs: 20 });
  await using daemon = await startInProcess(pair.url, { PGNETD_RATE_PER_SECOND: "1000" });
  await enqueue(pair.primary, receiver.url("/before"), BEFORE);
  await receiver.waitFor(500);
  await pair.primary.server.kill();
  pair.point();
  await eventually(async () => {
    const sessions = await pair.standby.query("select from pg_stat_activity where application_name like 'pgnetd%'");
    return sessions.length > 1;
  });
  const sent = receiver.requests.length;
  expect(sent).toBeLessThan(BEFORE);
  // It tries to read and to write, again and again.
  await eventually(
    async () => ((await pair.standby.server.log()).match(/ERROR: .*(during recovery|read-only)/g) ?? []).length > 2,
  );
  expect(receiver.requests).toHaveLength(sent);
  await pair.standby.query("select pg_promote(true, 20)");
  await receiver.waitFor(sent + 1, 20_000);
  await enqueue(pair.standby, receiver.url("/after"), AFTER);
  await emptied(pair.standby, 20_000);

  const committed = BEFORE + AFTER;
  const counts = await countFault(pair.standby, receiver, committed);
  const phases = daemon.lines.filter(({ message }) => message === "phase").length;
  reportFault(counts, `${phases} changes of phase`);
  expect(counts).toEqual({ committed, sent: committed, answered: committed, lost: 0, repeated: 0 });
  await eventually(
    async () => (await pair.standby.query("select from pg_replication_slots where active")).length === 1,
  );
});
