import { expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { caughtUp, startFailover } from "../support/fault-failover.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startReceiver } from "../support/receiver.ts";

const KNOWN = 10;
/** All of them in flight to one host at once. */
const GONE = 60;
const NEW = 100;

// A standby knows a sequence up to 32 values ahead; further ids that the lost commits had are given again.
test.each([
  ["running on", false],
  ["killed and started again", true],
] as const)(
  "P2 P3: ids of commits lost with the primary given again, the daemon %s: the requests that follow are all sent",
  async (_name, restarted) => {
    await using pair = await startFailover({ synchronous: false });
    await using receiver = await startReceiver();
    receiver.behave(({ path }) => (path.startsWith("/gone") ? { kind: "hang" } : { kind: "answer" }));
    await using first = await startDaemon({ databaseUrl: pair.url });
    await enqueue(pair.primary, receiver.url("/known"), KNOWN);
    await emptied(pair.primary);
    await caughtUp(pair);
    pair.detach();
    // In flight for longer than the failover takes.
    await pair.primary.query(
      "select count(net.http_post($1 || g, timeout_milliseconds := 10000)) from generate_series(1, $2::int) g",
      [receiver.url("/gone"), GONE],
    );
    await receiver.waitFor(KNOWN + GONE);
    const inFlight = await pair.primary.query<{ id: string }>("select id::text from net.http_request_queue");
    expect(inFlight).toHaveLength(GONE);
    await pair.failOver();
    await enqueue(pair.standby, receiver.url("/new"), NEW);
    const again = await pair.standby.query("select from net.http_request_queue where id = any ($1::bigint[])", [
      inFlight.map(({ id }) => id),
    ]);
    expect(again.length).toBeGreaterThan(20);
    if (restarted) await first.kill();
    pair.point();
    await using _second = restarted ? await startDaemon({ databaseUrl: pair.url }) : null;
    await emptied(pair.standby);

    const counts = await countFault(pair.standby, receiver, KNOWN + NEW);
    const arrived = [...receiver.countByPath().keys()].filter((path) => path.startsWith("/new")).length;
    // They are on record as answered, and were never sent.
    const lost = counts.lost + NEW - arrived;
    reportFault({ ...counts, lost }, `${again.length} ids given again, all of them in flight`);
    expect({ lost, repeated: counts.repeated }).toEqual({ lost: 0, repeated: 0 });
  },
);
