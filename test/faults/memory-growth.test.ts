import { join } from "node:path";
import { expect, test } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { failed, httpPeer, testClient } from "../support/http-peer.ts";
import { liveBytes } from "../support/live-heap.ts";
import { emptied } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";

const MIB = 1024 * 1024;
const PROBE = join(import.meta.dirname, "../support/heap-probe.ts");

/** What is alive in the daemon's heap and buffers now. */
async function liveBytesOf(daemon: Daemon): Promise<number> {
  const measured = (): number[] =>
    daemon.events().flatMap(({ liveBytes: bytes }) => (typeof bytes === "number" ? [bytes] : []));
  const before = measured().length;
  daemon.signal("SIGUSR2");
  return eventually(() => measured()[before], 20_000);
}

test(
  "P5: a daemon that sends 100,000 requests with bodies without a pause holds no more at the end than at the beginning",
  { timeout: 180_000 },
  async () => {
    await using db = await testDatabase();
    let arrived = 0;
    await using receiver = await httpPeer((socket) => {
      arrived += 1;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    await db.query(
      "select count(net.http_request('POST', $1, convert_to(repeat('x', 1000), 'UTF8'))) from generate_series(1, 100000)",
      [`http://127.0.0.1:${receiver.port}/`],
    );
    await using daemon = await startDaemon({
      databaseUrl: db.url,
      env: { PGNETD_RATE_PER_SECOND: "unlimited", NODE_OPTIONS: `--import=${PROBE}` },
    });
    await eventually(() => arrived >= 20_000, 60_000);
    const early = await liveBytesOf(daemon);
    await eventually(() => arrived >= 90_000, 120_000);
    const late = await liveBytesOf(daemon);
    await emptied(db);
    expect(arrived).toBe(100_000);
    expect((late - early) / MIB).toBeLessThan(40);
  },
);

/** How requests come and end, besides in a backlog. The SQL inserts $2 of them for $1. */
interface Mode {
  readonly insert: string;
  /** What one answer is. Default 200. */
  readonly status?: () => number;
  /** Nothing listens at the url. */
  readonly refuses?: true;
  /** Each batch is cancelled when the first of its requests has arrived: others have been read, and wait for a slow destination. */
  readonly cancels?: true;
  /** The daemon that is measured is not the one that sends. */
  readonly standsBy?: true;
}

const BODY = "convert_to(repeat('x', 1000), 'UTF8')";
const POST = `net.http_request('POST', $1, ${BODY}`;
const FROM = "from generate_series(1, $2::int)";

const MODES: Readonly<Record<string, Mode>> = {
  live: { insert: `select count(${POST})) ${FROM}` },
  deferred: { insert: `select count(${POST}, delay := '200 ms')) ${FROM}` },
  retried: {
    insert: `select count(${POST}, max_attempts := 10, retry_first_ms := 10, retry_max_ms := 20)) ${FROM}`,
    status: () => (Math.random() < 0.5 ? 503 : 200),
  },
  dead: {
    insert: `select count(${POST}, max_attempts := 2, retry_first_ms := 10)) ${FROM}`,
    status: () => 503,
  },
  refused: { insert: `select count(${POST})) ${FROM}`, refuses: true },
  cancelled: { insert: `select count(${POST})) ${FROM}`, cancels: true },
  "on standby": { insert: `select count(${POST})) ${FROM}`, standsBy: true },
};

const EARLY = 10_000;
const LATE = 35_000;
/** That many are waiting when the next batch comes. */
const WAITING = 1_000;
/** What each ended request may seem to leave behind: live bytes are only known to some megabytes. A row has more than a thousand. */
const BYTES_EACH = 300;

test.for(Object.entries(MODES))(
  "P5: nothing is held of requests that ended, while others never cease to come: %s",
  { timeout: 120_000 },
  async ([, { insert, status = () => 200, refuses, cancels, standsBy }]) => {
    await using db = await testDatabase();
    await using receiver = await httpPeer((socket) => {
      const answer = `HTTP/1.1 ${status()} x\r\nContent-Length: 2\r\n\r\nok`;
      if (cancels === true) setTimeout(() => socket.write(answer), 10);
      else socket.write(answer);
    });
    const url = refuses === true ? "http://127.0.0.1:9/" : `http://127.0.0.1:${receiver.port}/`;
    const env = { PGNETD_RATE_PER_SECOND: "unlimited", NODE_OPTIONS: `--import=${PROBE}` };
    await using leader = await startDaemon({ databaseUrl: db.url, env });
    await leader.live();
    await using standby = standsBy === true ? await startDaemon({ databaseUrl: db.url, env }) : null;
    let inserted = 0;
    const goOnTo = async (ended: number): Promise<void> => {
      for (; inserted < ended + WAITING; inserted += WAITING) {
        await eventually(
          async () => (await db.query(`select from net.http_request_queue offset ${WAITING} limit 1`)).length === 0,
          60_000,
        );
        const arrived = receiver.received.length;
        await db.query(insert, [url, WAITING]);
        if (cancels !== true) continue;
        await eventually(() => receiver.received.length > arrived);
        await db.query("delete from net.http_request_queue");
      }
    };
    // The least of several: how much is on its way when it is measured differs.
    const least = async (ended: number): Promise<number> => {
      const measured: number[] = [];
      for (let batch = 0; batch < 4; batch++) {
        await goOnTo(ended + batch * WAITING);
        measured.push(await liveBytesOf(standby ?? leader));
      }
      return Math.min(...measured);
    };
    const early = await least(EARLY);
    const late = await least(LATE);
    expect((late - early) / (LATE - EARLY)).toBeLessThan(BYTES_EACH);
  },
);

test("P5: of hosts whose requests timed out nothing is held, however many there are", async () => {
  await using peer = await httpPeer(() => undefined);
  await using client = testClient({
    resolve: (_hostname, resolved) => setImmediate(() => resolved(null, [{ address: "127.0.0.1", family: 4 }])),
  });
  const tryHosts = async (from: number, to: number): Promise<void> => {
    const urls = Array.from({ length: to - from }, (_, at) => `http://host${from + at}.example:${peer.port}/`);
    const outcomes = await Promise.all(urls.map((url) => failed(client, url, { timeoutMs: 200 })));
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(["timeout"]));
    await eventually(() => peer.open === 0);
  };
  await tryHosts(0, 100);
  const early = await liveBytes();
  for (let from = 100; from < 2_100; from += 100) await tryHosts(from, from + 100);
  expect(peer.received.length).toBeGreaterThan(1_000);
  expect(((await liveBytes()) - early) / MIB).toBeLessThan(10);
});
