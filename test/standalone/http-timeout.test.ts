import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { type Failed } from "../../src/http/outcome.ts";
import { type AnswerWaiter, UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { always, answered, failed, httpPeer, requestOf, response, testClient } from "../support/http-peer.ts";

const WORDS =
  /^Timeout of (\d+) ms reached\. Total time: (\d+\.\d{6}) ms \(DNS time: (\d+\.\d{6}) ms, TCP\/SSL handshake time: (\d+\.\d{6}) ms, HTTP Request\/Response time: (\d+\.\d{6}) ms\)$/;

/** Checks words, sums and the total; returns the phases. */
function expectTimeout(outcome: Failed, timeoutMs: number): Failed["timings"] {
  expect(outcome.code).toBe("timeout");
  expect(outcome.message).toMatch(WORDS);
  const [limit, total, dns, connect, exchange] = (WORDS.exec(outcome.message) ?? []).slice(1).map(Number);
  expect(limit).toBe(timeoutMs);
  const { timings } = outcome;
  expect(total).toBeCloseTo(timings.totalMs, 4);
  expect(dns).toBeCloseTo(timings.dnsMs, 4);
  expect(connect).toBeCloseTo(timings.connectMs, 4);
  expect(exchange).toBeCloseTo(timings.exchangeMs, 4);
  expect(timings.dnsMs + timings.connectMs + timings.exchangeMs).toBeCloseTo(timings.totalMs, 6);
  expect(timings.totalMs).toBeGreaterThanOrEqual(timeoutMs);
  expect(timings.totalMs).toBeLessThan(timeoutMs + 500);
  return timings;
}

/** A port that takes no more connections, nor refuses them: its thread stands still, and its queue is full. */
async function fullListener(): Promise<AsyncDisposable & { readonly port: number }> {
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const [port] = (await once(worker, "message")) as [number];
  const sockets: Socket[] = [];
  for (let at = 0; at < 8; at++) sockets.push(connect(port, "127.0.0.1").on("error", () => {}));
  await expect.poll(() => sockets.filter((socket) => !socket.connecting).length).toBe(2);
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await worker.terminate();
    },
  };
}

describe("the timeout counts from sending to the last byte", () => {
  test("while the name is resolved", async () => {
    await using client = testClient({ resolve: () => {} });
    const outcome = await failed(client, "http://slow.test/", { timeoutMs: 500 });
    const timings = expectTimeout(outcome, 500);
    expect(timings.dnsMs).toBeGreaterThan(250);
    expect(timings.connectMs).toBe(0);
    expect(outcome.maybeReceived).toBe(false);
  });

  test("while the connection is made", async () => {
    await using full = await fullListener();
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${full.port}/`, { timeoutMs: 500 });
    expect(expectTimeout(outcome, 500).connectMs).toBeGreaterThan(250);
    expect(outcome.maybeReceived).toBe(false);
  });

  test("while TLS is negotiated", async () => {
    await using peer = await httpPeer(() => {});
    await using client = testClient({
      resolve: (_name, resolved) => setTimeout(resolved, 50, null, [{ address: "127.0.0.1", family: 4 }]),
    });
    const outcome = await failed(client, `https://slow.test:${peer.port}/`, { timeoutMs: 1_000 });
    const timings = expectTimeout(outcome, 1_000);
    expect(timings.dnsMs).toBeGreaterThan(40);
    expect(timings.dnsMs).toBeLessThan(800);
    expect(timings.connectMs).toBeGreaterThan(100);
    expect(outcome.maybeReceived).toBe(false);
    await expect.poll(() => peer.open).toBe(0);
  });

  test("while nothing is answered", async () => {
    await using peer = await httpPeer(() => {});
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 100 });
    const timings = expectTimeout(outcome, 100);
    expect(timings.dnsMs).toBe(0);
    expect(timings.connectMs).toBeGreaterThan(0);
    expect(timings.exchangeMs).toBeGreaterThan(50);
    expect(outcome.maybeReceived).toBe(true);
    await expect.poll(() => peer.open).toBe(0);
  });

  test.each([
    ["the head", "HTTP/1.1 200 OK\r\nX-A: "],
    ["the content", "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"],
  ])("while %s trickles in", async (_what, start) => {
    await using peer = await httpPeer((socket) => {
      socket.write(start);
      const timer = setInterval(() => socket.write("x"), 5);
      socket.on("close", () => clearInterval(timer));
    });
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 150 });
    expectTimeout(outcome, 150);
    await expect.poll(() => peer.open).toBe(0);
  });

  test("while waiting for a free connection", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      if (!head.includes("/hang")) socket.write(response("ok"));
    });
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}`;
    const hanging = failed(client, `${url}/hang`, { timeoutMs: 300 });
    const waiting = failed(client, `${url}/waits`, { timeoutMs: 100 });
    const late = answered(client, `${url}/late`);
    const outcome = await waiting;
    expect(expectTimeout(outcome, 100).connectMs).toBe(0);
    expect(outcome.maybeReceived).toBe(false);
    expectTimeout(await hanging, 300);
    expect((await late).content.toString()).toBe("ok");
    expect(peer.received.map(({ head }) => head.split(" ")[1])).toEqual(["/hang", "/late"]);
  });

  test("while waiting, and costs no connection when the last one ends", async () => {
    await using peer = await httpPeer(() => {});
    let asked = 0;
    await using client = testClient({
      connectionsPerOrigin: 1,
      resolve: (_name, resolved) => {
        asked++;
        setImmediate(resolved, null, [{ address: "127.0.0.1", family: 4 }]);
      },
    });
    const url = `http://once.test:${peer.port}/`;
    const both = [failed(client, url, { timeoutMs: 150 }), failed(client, url, { timeoutMs: 100 })];
    expect((await Promise.all(both)).map(({ code }) => code)).toEqual(["timeout", "timeout"]);
    await expect.poll(() => peer.open).toBe(0);
    expect(asked).toBe(1);
  });

  test("over all redirects together", async () => {
    await using peer = await httpPeer((socket) => {
      setTimeout(() => socket.write(response("", ["Location: /again"], "302 Found")), 150);
    });
    await using client = testClient();
    const url = `http://127.0.0.1:${peer.port}/`;
    const outcome = await failed(client, url, { timeoutMs: 600, maxRedirects: 100 });
    expectTimeout(outcome, 600);
    expect(outcome.maybeReceived).toBe(true);
    expect(peer.received.length).toBeGreaterThan(1);
  });

  test("and of a reused connection name and handshake cost nothing", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      if (!head.includes("/hang")) socket.write(response("ok"));
    });
    await using client = testClient({ connectionsPerOrigin: 1 });
    const first = await answered(client, `http://localhost:${peer.port}/`);
    expect(first.timings.dnsMs).toBeGreaterThan(0);
    expect(first.timings.connectMs).toBeGreaterThan(0);
    const second = await failed(client, `http://localhost:${peer.port}/hang`, { timeoutMs: 100 });
    const timings = expectTimeout(second, 100);
    expect([timings.dnsMs, timings.connectMs]).toEqual([0, 0]);
    expect(peer.connections).toBe(1);
  });
});

test("an address that does not answer is given up when the name has another", async () => {
  await using full = await fullListener();
  await using peer = await httpPeer(always("ok"), { host: "127.0.0.2", port: full.port });
  const addresses = ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }));
  await using client = testClient({ resolve: (_name, resolved) => setImmediate(resolved, null, addresses) });
  expect((await answered(client, `http://two.test:${peer.port}/`)).content.toString()).toBe("ok");
});

test("the phases of an answer add up", async () => {
  await using peer = await httpPeer(always("ok"));
  await using client = testClient();
  const { timings } = await answered(client, `http://localhost:${peer.port}/`);
  expect(timings.dnsMs + timings.connectMs + timings.exchangeMs).toBeCloseTo(timings.totalMs, 6);
  expect(Math.min(timings.dnsMs, timings.connectMs, timings.exchangeMs)).toBeGreaterThan(0);
});

test("a timeout of 0 is none", async () => {
  await using peer = await httpPeer((socket) => void setTimeout(() => socket.write(response("late")), 50));
  await using client = testClient();
  expect((await answered(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 0 })).content.toString()).toBe("late");
});

test("an answer that is there in time counts, however busy this process was", async () => {
  await using peer = await httpPeer((socket) => {
    socket.write(response("here"));
    const until = performance.now() + (peer.received.length === 1 ? 0 : 200);
    while (performance.now() < until);
  });
  await using client = testClient({ connectionsPerOrigin: 1 });
  const url = `http://127.0.0.1:${peer.port}/`;
  await answered(client, url);
  const outcome = await answered(client, url, { timeoutMs: 100 });
  expect(outcome.content.toString()).toBe("here");
  expect(outcome.timings.totalMs).toBeGreaterThan(100);
});

describe("killed", () => {
  test("before, while resolving, while connecting and while waiting for the answer", async () => {
    await using peer = await httpPeer(() => {});
    await using client = testClient({ resolve: () => {} });
    const kill = new AbortController();
    const outcomes = [
      failed(client, `http://never.test/`, {}, kill.signal),
      failed(client, `https://127.0.0.1:${peer.port}/`, {}, kill.signal),
      failed(client, `http://127.0.0.1:${peer.port}/`, {}, kill.signal),
    ];
    const other = failed(client, `http://127.0.0.1:${peer.port}/other`, { timeoutMs: 300 });
    await expect.poll(() => peer.received.length).toBe(2);
    kill.abort();
    outcomes.push(failed(client, `http://127.0.0.1:${peer.port}/`, {}, kill.signal));
    const ended = await Promise.all(outcomes);
    expect(ended.map(({ code }) => code)).toEqual(["aborted", "aborted", "aborted", "aborted"]);
    expect(ended.map(({ maybeReceived }) => maybeReceived)).toEqual([false, false, true, false]);
    expect((await other).code).toBe("timeout");
    expect(peer.received).toHaveLength(2);
    await expect.poll(() => peer.open).toBe(0);
  });

  test("before it was written: the kept connection stays good", async () => {
    await using peer = await httpPeer(always("ok"));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    await nextTurn();
    const kill = new AbortController();
    const killed = failed(client, url, {}, kill.signal);
    kill.abort();
    expect(await killed).toMatchObject({ code: "aborted", maybeReceived: false });
    await answered(client, url);
    expect([peer.received.length, peer.connections]).toEqual([2, 1]);
  });

  test("many at once by one signal, which has one listener", async () => {
    await using peer = await httpPeer(() => {});
    await using client = testClient();
    const kill = new AbortController();
    let listeners = 0;
    const add = kill.signal.addEventListener.bind(kill.signal);
    kill.signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    const url = `http://127.0.0.1:${peer.port}/`;
    const all = Array.from({ length: 100 }, () => failed(client, url, {}, kill.signal));
    await expect.poll(() => peer.received.length).toBe(4);
    kill.abort();
    expect((await Promise.all(all)).every(({ code }) => code === "aborted")).toBe(true);
    expect(listeners).toBe(1);
  });
});

test("closing the client ends what is in flight, closes every connection, and later requests end as aborted", async () => {
  await using peer = await httpPeer((socket, { head }) => {
    if (head.includes("/ok")) socket.write(response("ok"));
  });
  const client = testClient();
  const url = `http://127.0.0.1:${peer.port}`;
  await answered(client, `${url}/ok`);
  const pending = failed(client, `${url}/hang`);
  const shakingHands = failed(client, `https://127.0.0.1:${peer.port}/`);
  await expect.poll(() => [peer.received.length, peer.open]).toEqual([2, 3]);
  await client[Symbol.asyncDispose]();
  expect(await pending).toMatchObject({ code: "aborted", maybeReceived: true });
  expect(await shakingHands).toMatchObject({ code: "aborted", maybeReceived: false });
  await expect.poll(() => peer.open).toBe(0);
  expect(await client.send(requestOf(`${url}/ok`), { idempotencyKey: null })).toMatchObject({ code: "aborted" });
});

test.each([0, 2 ** 31 - 1])("P6: a request with a timeout of %s takes no longer than any may", async (timeoutMs) => {
  await using peer = await httpPeer(() => undefined);
  await using client = testClient({ maxTimeoutMs: 200 });
  const failure = await failed(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs });
  expect(failure).toMatchObject({
    code: "timeout",
    message: expect.stringMatching(/^Timeout of 200 ms reached/) as string,
  });
});

test("P6: a request that is to give up its place ends at once as timed out, and says so; another, or one that has ended, does not", async () => {
  await using peer = await httpPeer(() => {});
  await using client = testClient();
  const request = requestOf(`http://127.0.0.1:${peer.port}/`, { timeoutMs: 600_000 });
  const sent = client.send(request, { idempotencyKey: null });
  await expect.poll(() => peer.received.length).toBe(1);
  expect(client.expire(requestOf(`http://127.0.0.1:${peer.port}/`))).toBe(false);
  expect(client.expire(request)).toBe(true);
  const outcome = await sent;
  expect(outcome).toMatchObject({ kind: "failed", code: "timeout", maybeReceived: true });
  expect(outcome.kind === "failed" && outcome.message).toMatch(
    /^Ended after \d+ ms, before its timeout of 600000 ms, since all places in flight \(http\.concurrency\) were taken and other hosts waited$/,
  );
  expect(client.expire(request)).toBe(false);
});

test("P6: a request whose answer waits for memory of ours does not give up its place", async () => {
  await using peer = await httpPeer(always("much"));
  await using client = testClient();
  const request = requestOf(`http://127.0.0.1:${peer.port}/`, { timeoutMs: 600_000 });
  const stuck = { ...UNBOUNDED };
  const waits = Promise.withResolvers<AnswerWaiter>();
  stuck.received = (_bytes, _expected, waiter) => {
    stuck.stuckMs = 1;
    waits.resolve(waiter);
    return false;
  };
  const sent = client.send(request, { idempotencyKey: null, memory: stuck });
  const waiter = await waits.promise;
  await nextTurn();
  expect(client.expire(request)).toBe(false);
  stuck.stuckMs = 0;
  waiter.goOn();
  expect(await sent).toMatchObject({ kind: "answered", status: 200 });
});
