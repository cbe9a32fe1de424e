import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { QUIET_RESERVE_BYTES } from "../../src/wal/confirmations.ts";
import { commitsWaiting, requireAbsentStandby, requireNoStandby } from "../support/absent-standby.ts";
import { startDaemon } from "../support/daemon.ts";
import { DEADLINE_MS, eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { countFault, expectExactlyOnce, reportFault } from "../support/fault-report.ts";
import { type FaultServer, startFaultServer } from "../support/fault-server.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { lanesBehind, startInProcess } from "../support/in-process-daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const ENV = {
  PGNETD_RATE_PER_SECOND: "1000",
  // A busy machine must not look like a lost connection here.
  PGNETD_SENDER_TIMEOUT_MS: "20000",
  PGNETD_FENCE_MS: "15000",
};

/** A server whose commits wait for a standby that is not there, where a session asks for it. */
async function startLonelyServer(): Promise<FaultServer> {
  const db = await startFaultServer({ synchronous_commit: "local" });
  await requireAbsentStandby(db);
  return db;
}

/** A commit that is in the log, and so decoded, but not visible to anybody. */
interface Waiting extends AsyncDisposable {
  /** The commit ends. */
  release(): Promise<void>;
}

/** Commits `count` requests; resolves when the commit waits for its standby. */
async function commitNotVisible(db: FaultServer, receiver: Receiver, count: number): Promise<Waiting> {
  const client = await connectClient(db.url);
  await client.query("set synchronous_commit = on");
  const committed = enqueue(client, receiver.url("/unseen"), count);
  committed.catch(() => undefined);
  await eventually(async () => (await commitsWaiting(db)) === 1);
  expect(await db.query("select from net.http_request_queue where url like '%/unseen%'")).toEqual([]);
  return {
    async release() {
      await requireNoStandby(db);
      await committed;
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** Other requests, about 200 a second, each in its own transaction, until the returned function is called. */
function goOn(db: FaultServer, receiver: Receiver): () => Promise<number> {
  const stop = new AbortController();
  const going = (async () => {
    let made = 0;
    while (!stop.signal.aborted) {
      await db.query("select net.http_post($1)", [receiver.url(`/other${made}`)]);
      made++;
      await delay(4);
    }
    return made;
  })();
  return async () => {
    stop.abort();
    return going;
  };
}

/** How many of the requests that nobody sees have arrived. */
function arrivalsNotVisible({ requests }: Receiver): number {
  return requests.filter(({ path }) => path.startsWith("/unseen")).length;
}

/** Resolves when 40 more of the other requests have come, all but a few of them made after this was called. */
async function othersCome({ requests }: Receiver): Promise<void> {
  const count = (): number => requests.filter(({ path }) => path.startsWith("/other")).length;
  const before = count();
  await eventually(() => count() >= before + 40);
}

/** Resolves when the daemon has looked three times, from now on, whether the commit is visible. */
async function looked(db: FaultServer): Promise<void> {
  const looks = new Set<string>();
  // The next statement of the same session takes its place: with 200 requests a second that is soon.
  const oftenMs = 5;
  const [{ since } = { since: "" }] = await db.query<{ since: string }>("select clock_timestamp()::text as since");
  await eventually(
    async () => {
      const rows = await db.query<{ at: string }>(
        `select query_start::text as at from pg_stat_activity
      where application_name like 'pgnetd%' and query = 'select pg_catalog.pg_current_snapshot()::text as snapshot' and query_start > $1`,
        [since],
      );
      for (const { at } of rows) looks.add(at);
      return looks.size >= 3;
    },
    DEADLINE_MS,
    oftenMs,
  );
}

const ROWS = 40;

// What happens while the commit waits, and how many of its requests have been sent by then.
const MEANWHILE: Record<string, (db: FaultServer) => Promise<unknown>> = {
  "nothing happens": () => Promise.resolve(),
  "the stream is cut": (db) => db.query("select pg_terminate_backend(active_pid) from pg_replication_slots"),
  "the slot is lost": async (db) =>
    eventually(async () => {
      await db.query("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where active");
      return (
        (await db.query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active"))
          .length > 0
      );
    }),
};

test.each(
  Object.entries(MEANWHILE).flatMap(([name, act]) => [
    [name, "alone", act] as const,
    [name, "with 200 other requests a second", act] as const,
  ]),
)(
  "P2 P3: a commit decoded before it is visible, while %s, %s: nothing lost, left behind or repeated",
  async (_name, company, act) => {
    await using db = await startLonelyServer();
    await using receiver = await startReceiver();
    await using _daemon = await startInProcess(db.url, ENV);
    const stop = company === "alone" ? () => Promise.resolve(0) : goOn(db, receiver);
    await using waiting = await commitNotVisible(db, receiver, ROWS);
    await eventually(() => arrivalsNotVisible(receiver) === ROWS);
    await act(db);
    await looked(db);
    await waiting.release();
    await eventually(async () => {
      const rows = await db.query("select from net._http_response");
      return rows.length >= ROWS;
    });
    const others = await stop();
    await emptied(db);
    await expectExactlyOnce(db, receiver, ROWS + others);
  },
);

test("P2 P3: such a commit when memory is full: nothing lost, left behind or repeated", async () => {
  await using db = await startLonelyServer();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, { ...ENV, PGNETD_MEMORY_REQUESTS: "15" });
  const stop = goOn(db, receiver);
  await using waiting = await commitNotVisible(db, receiver, ROWS);
  await eventually(async () => (await lanesBehind(daemon)) === 1);
  await looked(db);
  expect(arrivalsNotVisible(receiver)).toBeLessThan(ROWS);
  await waiting.release();
  await eventually(() => arrivalsNotVisible(receiver) === ROWS);
  const others = await stop();
  await emptied(db);
  await expectExactlyOnce(db, receiver, ROWS + others);
});

test("P2 P3: such a commit decoded while the daemon is away, and at its start", async () => {
  await using db = await startLonelyServer();
  await using receiver = await startReceiver();
  await (await startInProcess(db.url, ENV)).stop();
  await using waiting = await commitNotVisible(db, receiver, ROWS);
  await using _daemon = await startInProcess(db.url, ENV);
  const stop = goOn(db, receiver);
  await othersCome(receiver);
  await waiting.release();
  await eventually(() => arrivalsNotVisible(receiver) === ROWS);
  const others = await stop();
  await emptied(db);
  await expectExactlyOnce(db, receiver, ROWS + others);
});

test("P2 P3: such a commit when the daemon is killed and started again: nothing lost; repeated is only what was sent before", async () => {
  await using db = await startLonelyServer();
  await using receiver = await startReceiver();
  const first = await startDaemon({ databaseUrl: db.url, env: ENV });
  await using waiting = await commitNotVisible(db, receiver, ROWS);
  await eventually(() => arrivalsNotVisible(receiver) === ROWS);
  // Confirmed up to a part of the last record, so that the stream does not bring it again.
  await eventually(async () => {
    const [row] = await db.query<{ confirmed: boolean }>(
      `select confirmed_flush_lsn >= pg_current_wal_flush_lsn() - ${QUIET_RESERVE_BYTES}::numeric as confirmed from pg_replication_slots`,
    );
    return row?.confirmed;
  }, 30_000);
  await first.kill();
  await using _second = await startDaemon({ databaseUrl: db.url, env: ENV });
  const stop = goOn(db, receiver);
  await othersCome(receiver);
  expect(arrivalsNotVisible(receiver)).toBe(ROWS);
  await waiting.release();
  await eventually(() => arrivalsNotVisible(receiver) === 2 * ROWS);
  const others = await stop();
  await emptied(db);
  const counts = await countFault(db, receiver, ROWS + others);
  reportFault(counts, "sent, not written at the kill: all of its requests");
  const all = ROWS + others;
  expect(counts).toEqual({ committed: all, sent: all + ROWS, answered: all, lost: 0, repeated: ROWS });
});

test("P2 P3: every commit waits, those of the results, too: nothing lost, left behind or repeated", async () => {
  await using db = await startFaultServer();
  await using receiver = await startReceiver();
  await using daemon = await startInProcess(db.url, { ...ENV, PGNETD_STATEMENT_TIMEOUT_MS: "1000" });
  await requireAbsentStandby(db);
  await using client = await connectClient(db.url);
  const committed = enqueue(client, receiver.url("/unseen"), ROWS);
  await eventually(() => arrivalsNotVisible(receiver) === ROWS);
  await using local = await connectClient(db.url);
  await local.query("set synchronous_commit = local");
  await enqueue(local, receiver.url("/seen"), ROWS);
  await eventually(() => daemon.lines.some(({ message }) => String(message).startsWith("results cannot be written")));
  await requireNoStandby(db);
  await committed;
  await emptied(db);
  const counts = await countFault(db, receiver, 2 * ROWS);
  reportFault(counts);
  expect(counts).toEqual({ committed: 2 * ROWS, sent: 2 * ROWS, answered: 2 * ROWS, lost: 0, repeated: 0 });
});
