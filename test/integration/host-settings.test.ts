import { expect, test } from "vitest";

import { ratesOf, readHostSettings } from "../../src/outbox/host-settings.ts";
import { openPool } from "../../src/pg/pool.ts";
import { eventually } from "../support/eventually.ts";
import { connectClient } from "../support/fault-clients.ts";
import { holdAnswers } from "../support/held-answers.ts";
import { openMarkers } from "../support/host-settings-marker.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { startInProcess } from "../support/in-process-daemon.ts";
import { testDatabase } from "../support/postgres.ts";
import { type Received, startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** What a host gets beyond its rate at most: one second's worth, for what was on its way at the beginning. */
function expectWithinRate(requests: readonly Received[], perSecond: number, since: number): void {
  const tookMs = Math.max(...requests.map(({ at }) => at)) - since;
  expect(requests.length).toBeLessThanOrEqual(perSecond * (tookMs / 1_000 + 1));
}

const now = (): number => performance.timeOrigin + performance.now();

test("P7: a rate of a host holds from its commit on, is changed and taken away while requests go on", async () => {
  await using db = await testDatabase();
  await using limited = await startReceiver({ host: "127.0.0.2" });
  await using other = await startReceiver();
  await using markers = await openMarkers(db, 3);
  await using _daemon = await startInProcess(db.url, FAST);
  const commit = async (settings: string): Promise<void> => {
    const marker = markers.next();
    await db.query(`${settings}; ${marker.sql}`);
    await marker.applied();
  };
  await commit("insert into net.http_host_settings (host, rate_per_second) values ('127.0.0.2', 5)");
  const limitedAt = now();
  await enqueue(db, limited.url("/"), 1_000);
  await enqueue(db, other.url("/"), 200);
  await other.waitFor(200);
  await limited.waitFor(20);
  expectWithinRate(limited.requests, 5, limitedAt);

  const from = limited.requests.length;
  await commit("update net.http_host_settings set rate_per_second = 100 where host = '127.0.0.2'");
  const raisedAt = now();
  const since = limited.requests.length;
  // At the rate before, these would take a minute.
  await limited.waitFor(from + 300);
  expectWithinRate(limited.requests.slice(since), 100, raisedAt);

  await commit("update net.http_host_settings set rate_per_second = 1 where host = '127.0.0.2'");
  expect(limited.requests.length).toBeLessThan(900);
  await db.query("delete from net.http_host_settings");
  await emptied(db);
  expect([limited.requests.length, limited.countByPath().size]).toEqual([1_000, 1_000]);
}, 180_000);

test("P7: a pause holds back what is requested in its own transaction", async () => {
  await using db = await testDatabase();
  await using paused = await startReceiver({ host: "127.0.0.2" });
  await using other = await startReceiver();
  await using _daemon = await startInProcess(db.url, FAST);
  const rounds = 10;
  let early = 0;
  for (let round = 1; round <= rounds; round++) {
    await db.query(`insert into net.http_host_settings (host, paused) values ('127.0.0.2', true);
      select net.http_get('${paused.url("/")}')`);
    await enqueue(db, other.url("/"), 1);
    await other.waitFor(round);
    early += paused.requests.length - round + 1;
    await db.query("delete from net.http_host_settings");
    await paused.waitFor(round);
  }
  // A change can be read before it is visible, and is read again some milliseconds later.
  expect(early).toBeLessThan(rounds / 2);
});

test("a concurrency of a host takes effect while more are in flight, and only once it is committed", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await using markers = await openMarkers(db, 2);
  await db.query("insert into net.http_host_settings (host) values ('127.0.0.1')");
  const held = holdAnswers(receiver, 20);
  await using _daemon = await startInProcess(db.url, FAST);
  await enqueue(db, receiver.url("/"), 1_000);
  await eventually(() => held.count > 10);

  const limit = markers.next();
  const client = await db.pool.connect();
  try {
    await client.query("begin; update net.http_host_settings set concurrency = 1; rollback; begin");
    await client.query("update net.http_host_settings set concurrency = 3 where host = '127.0.0.1'");
    held.release();
    await eventually(() => held.count > 10);
    await client.query(`${limit.sql}; commit`);
  } finally {
    client.release();
  }
  await limit.applied();
  for (let round = 0; round < 20; round++) {
    held.release();
    await eventually(() => held.count >= 3);
  }
  await enqueue(db, other.url("/"), 1);
  await other.waitFor(1);
  expect(held.count).toBe(3);

  const unlimit = markers.next();
  await db.query(`update net.http_host_settings set concurrency = null where host = '127.0.0.1'; ${unlimit.sql}`);
  await unlimit.applied();
  await eventually(() => held.count > 10);
  held.end();
  await emptied(db);
  expect([receiver.requests.length, receiver.countByPath().size]).toEqual([1_000, 1_000]);
});

test("a paused host gets nothing while others do; resumed, it gets all, each once; a restart keeps the pause", async () => {
  await using db = await testDatabase();
  await using paused = await startReceiver({ host: "127.0.0.2" });
  await using other = await startReceiver();
  await using markers = await openMarkers(db, 1);
  await db.query("insert into net.http_host_settings (host) values ('127.0.0.2')");
  const held = holdAnswers(paused, 100);
  const first = await startInProcess(db.url, FAST);
  await enqueue(db, paused.url("/"), 2_000);
  await eventually(() => held.count > 10);
  const pause = markers.next();
  await db.query(`update net.http_host_settings set paused = true where host = '127.0.0.2'; ${pause.sql}`);
  await pause.applied();
  held.end();
  await eventually(async () => {
    const health = (await (await fetch(`${first.address}/healthz`)).json()) as { requests: Record<string, number> };
    return health.requests["queued"] === 0 && health.requests["inFlight"] === 0;
  });
  const sent = paused.requests.length;
  expect(sent).toBeLessThan(500);
  await enqueue(db, other.url("/"), 100);
  await other.waitFor(100);
  await first.stop();
  await using _second = await startInProcess(db.url, FAST);
  await enqueue(db, other.url("/again-"), 100);
  await enqueue(db, paused.url("/again-"), 100);
  await enqueue(db, other.url("/last-"), 1);
  await other.waitFor(201);
  expect(paused.requests.length).toBe(sent);

  await db.query("update net.http_host_settings set paused = false");
  await emptied(db);
  expect([paused.requests.length, paused.countByPath().size]).toEqual([2_100, 2_100]);
});

test.each(["100000.1", "10000000000", "'Infinity'", "'NaN'", "0"])(
  "a rate of %s is refused where it is written",
  async (rate) => {
    await using db = await testDatabase();
    const insert = db.query(`insert into net.http_host_settings (host, rate_per_second) values ('a.example', ${rate})`);
    await expect(insert).rejects.toMatchObject({
      code: "23514",
      message: expect.stringContaining("rate_per_second_is") as unknown,
    });
  },
);

test("P5: a host of which the rate is left open has none of its own, which would take a window of starts", async () => {
  await using db = await testDatabase();
  await db.query("insert into net.http_host_settings (host, concurrency) values ('a.example', 4)");
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 10_000 });
  const settings = await readHostSettings(pool);
  expect([...settings]).toEqual([["a.example", { ratePerSecond: null, concurrency: 4, paused: false }]]);
});

test.each(["1e-9", "1e-400"])("P6: a rate of %s per second holds up its own host alone", async (rate) => {
  await using db = await testDatabase();
  await db.query(
    `insert into net.http_host_settings (host, rate_per_second) values ('a.example', ${rate}), ('b.example', 2)`,
  );
  await using pool = openPool({ url: db.url, size: 1, statementTimeoutMs: 10_000 });
  const rates = ratesOf(await readHostSettings(pool));
  expect([...rates.keys()].toSorted()).toEqual(["a.example", "b.example"]);
  expect(rates.get("a.example")).toBeGreaterThan(0);
});

test("P7: while settings cannot be read at the start nothing is sent, and it is said", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)");
  await enqueue(db, receiver.url("/"), 1);
  await enqueue(db, other.url("/"), 1);
  await using client = await connectClient(db.url);
  await client.query("begin; lock table net.http_host_settings in access exclusive mode");
  await using daemon = await startInProcess(db.url, { ...FAST, PGNETD_STATEMENT_TIMEOUT_MS: "1000" }, "polling");
  const message = "settings of hosts could not be read; no request starts before, and it is tried again";
  await eventually(() => daemon.lines.some((line) => line["message"] === message));
  expect(other.requests).toEqual([]);
  await client.query("rollback");
  await other.waitFor(1);
  expect(receiver.requests).toEqual([]);
});

test("P7: without a stream a host is paused within the next sweep or two", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await db.query("drop publication pgnetd_outbox");
  await using _daemon = await startInProcess(db.url, FAST, "polling");
  const both = async (count: number): Promise<void> => {
    await enqueue(db, receiver.url("/"), 1);
    await enqueue(db, other.url("/"), 1);
    await other.waitFor(count);
  };
  await both(1);
  await receiver.waitFor(1);
  await db.query("insert into net.http_host_settings (host, paused) values ('127.0.0.1', true)");
  for (let count = 2; receiver.requests.length === count - 1; count++) {
    expect(count).toBeLessThan(5);
    await both(count);
  }
  const sent = receiver.requests.length;
  await both(other.requests.length + 1);
  expect(receiver.requests).toHaveLength(sent);
});

test.each(["localhost", "localhost."])(
  "P7: a row for %s holds for urls with and without the trailing dot",
  async (host) => {
    await using db = await testDatabase();
    await using receiver = await startReceiver();
    await db.query("insert into net.http_host_settings (host, paused) values ($1, true)", [host]);
    await using _daemon = await startInProcess(db.url, FAST);
    for (const name of ["localhost", "localhost."]) {
      await db.query("select net.http_get($1)", [`http://${name}:${receiver.port}/`]);
    }
    await db.query("select net.http_get($1)", [receiver.url("/sent")]);
    await receiver.waitFor(1);
    expect(receiver.requests.map(({ path }) => path)).toEqual(["/sent"]);
    expect(await db.query("select from net.http_request_queue where url like '%localhost%'")).toHaveLength(2);
  },
);

test("P7: a row holds for its host in whatever spelling, of name or address, and of several the stricter one", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using other = await startReceiver({ host: "127.0.0.2" });
  await db.query(
    "insert into net.http_host_settings (host, paused) values ('127.1', true), ('127.0.0.1', false), ('bücher.example', true)",
  );
  await using _daemon = await startInProcess(db.url, FAST);
  await db.query("select net.http_get($1)", [receiver.url("/")]);
  await db.query("select net.http_get('http://xn--bcher-kva.example/')");
  await db.query("select net.http_get($1)", [other.url("/")]);
  await other.waitFor(1);
  await eventually(async () => (await db.query("select from net.http_request_queue")).length === 2);
  expect(receiver.requests).toEqual([]);
});
