import { type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { always, answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";

describe("a server that closes the kept connection as the next request comes", () => {
  /** Answers the first request of each connection and, without a word, cuts the connection at the second. */
  const once = (cut: (socket: Socket) => void) => {
    const seen = new Map<number, number>();
    return (socket: Socket, { connection }: { readonly connection: number }): void => {
      const nth = (seen.get(connection) ?? 0) + 1;
      seen.set(connection, nth);
      if (nth === 1) socket.write(response(`connection ${connection}`));
      else cut(socket);
    };
  };
  const CUTS = [
    ["closed", (socket: Socket) => void socket.end()],
    ["reset", (socket: Socket) => void socket.resetAndDestroy()],
  ] as const;

  test.each(
    CUTS.flatMap(([how, cut]) => ["GET", "HEAD", "PUT", "DELETE"].map((method) => [method, how, cut] as const)),
  )("%s is sent again, once, on a fresh connection: %s", async (method, _how, cut) => {
    await using peer = await httpPeer(once(cut));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    const parts = { method, headers: [["X-Nth", "2"]] as const, body: method === "PUT" ? Buffer.from("body") : null };
    expect(await answered(client, url, parts)).toMatchObject({ status: 200 });
    const [, second, third] = peer.received;
    expect([second?.connection, third?.connection, peer.received.length]).toEqual([1, 2, 3]);
    expect(third?.head).toContain("X-Nth: 2");
    expect(third?.body).toEqual(second?.body);
  });

  test.each(CUTS.flatMap(([how, cut]) => ["POST", "PATCH"].map((method) => [method, how, cut] as const)))(
    "%s is not: it may have been acted on: %s",
    async (method, _how, cut) => {
      await using peer = await httpPeer(once(cut));
      await using client = testClient({ connectionsPerOrigin: 1 });
      const url = `http://127.0.0.1:${peer.port}/`;
      await answered(client, url);
      const outcome = await failed(client, url, { method, body: Buffer.from("x") });
      expect(outcome).toMatchObject({ code: "empty_reply", maybeReceived: true });
      expect(peer.received).toHaveLength(2);
    },
  );

  test("once answering has begun, nothing is sent again", async () => {
    await using peer = await httpPeer((socket) => {
      if (peer.received.length === 1) socket.write(response());
      else socket.end("HTTP/1.1 2");
    });
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    expect(await failed(client, url)).toMatchObject({ code: "bad_reply" });
    expect(peer.received).toHaveLength(2);
  });

  test("the replay does not try its luck on another kept connection", async () => {
    await using peer = await httpPeer(once((socket) => void socket.end()));
    await using client = testClient({ connectionsPerOrigin: 2 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await Promise.all([answered(client, url), answered(client, url)]);
    expect(peer.connections).toBe(2);
    await answered(client, url);
    expect([peer.received.length, peer.connections]).toEqual([4, 3]);
  });

  test("on a new connection, nothing is sent again", async () => {
    await using peer = await httpPeer((socket) => {
      if (peer.received.length === 1) socket.write(response("", ["Connection: close"]));
      else socket.end();
    });
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    expect(await failed(client, url)).toMatchObject({ code: "empty_reply" });
    expect(peer.received).toHaveLength(2);
  });

  test("on a fresh connection, nothing is sent again", async () => {
    await using peer = await httpPeer((socket) => socket.end());
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({ code: "empty_reply" });
    expect(peer.received).toHaveLength(1);
  });

  test("a replay that fails too is the end", async () => {
    await using peer = await httpPeer((socket) => {
      if (peer.received.length === 1) socket.write(response());
      else socket.end();
    });
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    expect(await failed(client, url)).toMatchObject({ code: "empty_reply" });
    expect(peer.received).toHaveLength(3);
  });
});

describe("a connection that the server closed meanwhile", () => {
  test.each(["GET", "POST"])("is noticed: %s goes on a fresh one, and is sent once", async (method) => {
    await using peer = await httpPeer((socket) => socket.write(response("ok"), () => socket.end()));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    for (let at = 1; at <= 5; at++) {
      await answered(client, url, { method });
      await expect.poll(() => peer.open).toBe(0);
    }
    expect(peer.received).toHaveLength(5);
  });

  test("after the time it announced is not used again", async () => {
    await using peer = await httpPeer(always("ok", ["Keep-Alive: timeout=1"]));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url);
    await answered(client, url);
    expect(peer.connections).toBe(2);
  });
});

test("an idle connection is closed after the time set", async () => {
  await using peer = await httpPeer(always("ok"));
  await using client = testClient({ keepAliveMs: 50 });
  await answered(client, `http://127.0.0.1:${peer.port}/`);
  expect(peer.open).toBe(1);
  await expect.poll(() => peer.open).toBe(0);
});

test("P6: and not later, whatever time the server says", async () => {
  await using peer = await httpPeer(always("ok", ["Keep-Alive: timeout=601"]));
  await using client = testClient({ keepAliveMs: 50 });
  await answered(client, `http://127.0.0.1:${peer.port}/`);
  await expect.poll(() => peer.open).toBe(0);
});

test("P6: an idle connection over which line ends come without end is closed; a few between two answers do no harm", async () => {
  const lineEnds = Buffer.from("\r\n".repeat(1_000));
  await using peer = await httpPeer((socket, { head }) => {
    socket.write(Buffer.concat([response("ok", ["Keep-Alive: timeout=600"]), lineEnds]));
    const more = (): void => {
      if (!socket.destroyed) socket.write(lineEnds, more);
    };
    if (head.includes("/flood")) more();
  });
  await using client = testClient({ connectionsPerOrigin: 1 });
  const url = `http://127.0.0.1:${peer.port}`;
  for (let at = 0; at < 20; at++) await answered(client, `${url}/few`);
  expect(peer.connections).toBe(1);
  await answered(client, `${url}/flood`);
  await expect.poll(() => peer.open).toBe(0);
  await answered(client, `${url}/few`);
  expect(peer.connections).toBe(2);
});

test("many hosts at a time do not use up the descriptors: beyond 1,024, connections are closed after use", async () => {
  await using peer = await httpPeer(always("ok"), { host: "0.0.0.0" });
  await using client = testClient();
  const hosts = Array.from({ length: 1200 }, (_, at) => `127.1.${Math.floor(at / 250)}.${(at % 250) + 1}`);
  for (const host of hosts) await answered(client, `http://${host}:${peer.port}/`);
  expect(peer.connections).toBe(1200);
  await expect.poll(() => peer.open).toBeLessThanOrEqual(1025);
});
