import { readFileSync } from "node:fs";
import { type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { type HttpClient } from "../../src/http/client.ts";
import { eventually } from "../support/eventually.ts";
import {
  type HttpPeer,
  type Received,
  always,
  answered,
  failed,
  httpPeer,
  response,
  testClient,
} from "../support/http-peer.ts";
import { liveBytes } from "../support/live-heap.ts";

const MB = 1024 * 1024;
const file = (name: string): string => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const tls = { key: file("server.key"), cert: file("server.pem") };
const SCHEMES = [
  ["http", {}],
  ["https", { tls }],
] as const;

/** Connections stay for longer than the test takes, unless something else ends them. */
const client = (connectionsPerOrigin: number, keepAliveMs = 120_000): HttpClient =>
  testClient({ connectionsPerOrigin, trustedCertificates: [file("ca.pem")], keepAliveMs });

/** Answers as soon as anything comes, and never reads on. */
const unread =
  (answer: string | Buffer) =>
  (socket: Socket): void => {
    socket.once("data", () => {
      socket.pause();
      socket.write(answer);
    });
  };
const REFUSAL = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly";

describe.each(SCHEMES)("%s: a server that refuses and does not read the rest of the request", (scheme, options) => {
  test("P5: has its connection closed, and nothing of the body is kept", async () => {
    await using peer = await httpPeer(() => undefined, { ...options, accepted: unread(REFUSAL) });
    await using sender = client(16);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const before = await liveBytes();
    const send = async (): Promise<void> => {
      const body = Buffer.alloc(8 * MB);
      await answered(sender, url, { method: "POST", body, timeoutMs: 60_000 });
    };
    await Promise.all(Array.from({ length: 16 }, send));
    // 16 bodies of 8 MiB are 128, with TLS twice that. The test's server has read some 64 kB of each.
    await eventually(async () => ((await liveBytes()) - before) / MB < 16);
    expect(peer.connections).toBe(16);
  });

  test("P6: makes the next request wait for nothing: it has another connection", async () => {
    await using peer = await httpPeer(() => undefined, { ...options, accepted: unread(REFUSAL) });
    await using sender = client(1);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    for (let nth = 1; nth <= 3; nth++) {
      const outcome = await answered(sender, url, { method: "POST", body: Buffer.alloc(16 * MB) });
      expect([outcome.content.toString(), peer.connections]).toEqual(["early", nth]);
    }
  });

  test("keeps its connection where the system has taken all of it", async () => {
    await using peer = await httpPeer(() => undefined, {
      ...options,
      accepted: (socket) =>
        socket.on("data", (chunk) => String(chunk).includes("HTTP/1.1") && socket.write(response())),
    });
    await using sender = client(1);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    for (let nth = 0; nth < 5; nth++) await answered(sender, url, { method: "POST", body: Buffer.alloc(16_384) });
    expect(peer.connections).toBe(1);
  });
});

describe.each(SCHEMES)("%s: a server that says at once that all is well", (scheme, options) => {
  test.each([
    ["and reads then", [], 120_000],
    ["and reads then, and that it will close the connection", ["Connection: close"], 120_000],
    ["and reads when an idle connection would have been closed", [], 50],
  ])("%s, has the request whole, and then the next", async (_what, headers, keepAliveMs) => {
    const SIZE = 16 * MB;
    let received = 0;
    await using peer = await httpPeer(() => undefined, {
      ...options,
      accepted: (socket) => {
        socket.on("data", (chunk: Buffer) => {
          received += chunk.length;
          if (!chunk.includes("HTTP/1.1")) return;
          socket.pause().write(response("early", headers));
          setTimeout(() => socket.resume(), 150);
        });
      },
    });
    await using sender = client(1, keepAliveMs);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const body = Buffer.alloc(SIZE);
    const outcomes = [
      answered(sender, url, { method: "POST", body, timeoutMs: 30_000 }),
      answered(sender, url, { timeoutMs: 30_000 }),
    ];
    for (const { content } of await Promise.all(outcomes)) expect(content.toString()).toBe("early");
    await eventually(() => received > SIZE);
  });

  test.each([
    ["", []],
    [", as it says", ["Connection: close"]],
  ])("and closes the connection%s, is taken at its word", async (_what, headers) => {
    const accepted = (socket: Socket): void =>
      void socket.once("data", () => socket.pause().write(response("early", headers), () => socket.destroy()));
    await using peer = await httpPeer(() => undefined, { ...options, accepted });
    await using sender = client(1);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    for (let nth = 1; nth <= 3; nth++) {
      const body = Buffer.alloc(16 * MB);
      const outcome = await answered(sender, url, { method: "POST", body, timeoutMs: 30_000 });
      expect([outcome.content.toString(), peer.connections]).toEqual(["early", nth]);
    }
  });

  test("P5: and never reads, is timed out, and its connection is closed with what was not sent", async () => {
    await using peer = await httpPeer(() => undefined, { ...options, accepted: unread(response("early")) });
    await using sender = client(8);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const before = await liveBytes();
    const send = async (): Promise<unknown> => {
      const body = Buffer.alloc(8 * MB);
      return (await failed(sender, url, { method: "POST", body, timeoutMs: 1_000 })).code;
    };
    expect(new Set(await Promise.all(Array.from({ length: 8 }, send)))).toEqual(new Set(["timeout"]));
    await eventually(async () => ((await liveBytes()) - before) / MB < 16);
  });
});

describe.each(SCHEMES)("%s: while a request that was answered early is being sent", (scheme, options) => {
  const SIZE = 16 * MB;
  const large = { method: "POST", body: Buffer.alloc(SIZE), timeoutMs: 20_000 };

  /** Answers its first connection early, and reads on when `first` is resumed: one request, and no more. Other connections it serves. */
  async function earlyPeer(): Promise<{ readonly peer: HttpPeer; readonly first: Promise<Socket> }> {
    const { promise: first, resolve } = Promise.withResolvers<Socket>();
    const accepted = (socket: Socket, connection: number): void => {
      if (connection === 1)
        socket.once("data", () => void socket.pause().write(response("early"), () => resolve(socket)));
    };
    const served = (socket: Socket, { connection }: Received): void => {
      if (connection === 1) socket.pause();
      else socket.write(response("ok"));
    };
    return { peer: await httpPeer(served, { ...options, accepted }), first };
  }

  test("P6: others have connections of their own, and do not end with it", async () => {
    const { peer: opened, first } = await earlyPeer();
    await using peer = opened;
    await using sender = client(2);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const kill = new AbortController();
    const outcome = failed(sender, url, large, kill.signal);
    await first;
    for (let nth = 0; nth < 10; nth++) {
      const { content } = await answered(sender, url, { method: "POST", body: Buffer.alloc(1), timeoutMs: 20_000 });
      expect(content.toString()).toBe("ok");
    }
    kill.abort();
    expect((await outcome).code).toBe("aborted");
    await answered(sender, url);
    expect(peer.connections).toBe(2);
  });

  test("P3: it is answered when all of it is sent, whatever comes next", async () => {
    const { peer: opened, first } = await earlyPeer();
    await using peer = opened;
    await using sender = client(2);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const outcome = answered(sender, url, large);
    const socket = await first;
    for (let nth = 0; nth < 10; nth++) await turn();
    const next = answered(sender, url, large);
    socket.resume();
    expect((await outcome).content.toString()).toBe("early");
    expect((await next).content.toString()).toBe("ok");
  });

  test("the server may close its connection: one that has waited for it has another", async () => {
    const { peer: opened, first } = await earlyPeer();
    await using peer = opened;
    await using sender = client(1);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const outcome = answered(sender, url, large);
    const socket = await first;
    const next = answered(sender, url, { timeoutMs: 20_000 });
    socket.destroy();
    expect((await outcome).content.toString()).toBe("early");
    expect([(await next).content.toString(), peer.connections]).toEqual(["ok", 2]);
  });

  test("its connection is used again afterwards, also by one that has waited for it", async () => {
    const { peer: opened, first } = await earlyPeer();
    await using peer = opened;
    await using sender = client(1);
    const url = `${scheme}://127.0.0.1:${peer.port}/`;
    const outcome = answered(sender, url, large);
    const socket = await first;
    const next = answered(sender, url, { timeoutMs: 20_000 });
    socket.resume();
    await outcome;
    await eventually(() => peer.received.length > 0);
    socket.resume();
    await eventually(() => peer.received.length === 2);
    socket.write(response("next"));
    expect([(await next).content.toString(), peer.connections]).toEqual(["next", 1]);
  });
});

test.each(SCHEMES)("%s: a server that reads large requests whole keeps its connection", async (scheme, options) => {
  await using peer = await httpPeer(always("ok"), options);
  await using sender = client(1);
  const url = `${scheme}://127.0.0.1:${peer.port}/`;
  for (let nth = 0; nth < 3; nth++)
    await answered(sender, url, { method: "POST", body: Buffer.alloc(2 * MB), timeoutMs: 30_000 });
  expect(peer.connections).toBe(1);
});

test("https: so does one that answers before the daemon's next turn, when TLS has not yet heard that all is sent", async () => {
  const answers = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL("../support/tls-answering-thread.ts", import.meta.url), {
    workerData: { tls, answers },
  });
  const port = await new Promise<number>((resolve) => void worker.once("message", resolve));
  await using sender = client(1);
  const url = `https://127.0.0.1:${port}/`;
  const connections = new Set<string>();
  for (let nth = 0; nth < 10; nth++) {
    let isOver = false;
    const outcome = answered(sender, url).finally(() => (isOver = true));
    // This turn waits for the answer: what the next one reads is here before anything else of it has happened.
    while (!isOver) {
      if (nth > 0) Atomics.wait(answers, 0, nth, 50);
      await turn();
    }
    connections.add((await outcome).content.toString());
  }
  await worker.terminate();
  expect([...connections]).toEqual(["connection 1"]);
});
