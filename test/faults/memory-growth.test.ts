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
