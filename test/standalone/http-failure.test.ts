import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { freePort } from "../../demo/free-port.ts";
import { answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";

describe("a failure is reported in pg_net's words", () => {
  test("nobody listens", async () => {
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${await freePort()}/`)).toMatchObject({
      code: "connect",
      message: "Couldn't connect to server",
      detail: "ECONNREFUSED",
      maybeReceived: false,
    });
  });

  test("nobody listens on any address of the name", async () => {
    await using client = testClient();
    expect(await failed(client, `http://localhost:${await freePort()}/`)).toMatchObject({
      code: "connect",
      message: "Couldn't connect to server",
      detail: "ECONNREFUSED",
    });
  });

  test("the name does not exist", async () => {
    await using client = testClient();
    expect(await failed(client, "http://no-such-host.invalid/")).toMatchObject({
      code: "dns",
      message: "Couldn't resolve host name",
      maybeReceived: false,
    });
  });

  test("the name has no address", async () => {
    await using client = testClient({ resolve: (_name, resolved) => setImmediate(resolved, null, []) });
    expect(await failed(client, "http://empty.test/")).toMatchObject({
      code: "dns",
      message: "Couldn't resolve host name",
    });
  });

  const reset = (socket: Socket): void => void socket.resetAndDestroy();
  const say =
    (text: string | Buffer, then: (socket: Socket) => void = (socket) => socket.end()) =>
    (socket: Socket): void => {
      socket.write(text, "latin1", () => then(socket));
    };
  const endless =
    (start: string, again: string) =>
    (socket: Socket): void => {
      socket.write(start);
      const more = (): void => {
        if (!socket.destroyed) socket.write(again.repeat(100), more);
      };
      more();
    };
  const HINT = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const PARTIAL = "Transferred a partial file";
  const WEIRD = "Weird server reply";
  const RECEIVING = "Failure when receiving data from the peer";
  const NOTHING = "Server returned nothing (no headers, no data)";
  const GREW = "A value or data field grew larger than allowed";

  test.each<readonly [string, (socket: Socket) => void, string, string]>([
    ["closed without a word", (socket) => socket.end(), "empty_reply", NOTHING],
    ["reset without a word", reset, "empty_reply", RECEIVING],
    ["closed in the status line", say("HTTP/1.1 2"), "bad_reply", RECEIVING],
    ["closed in the headers", say("HTTP/1.1 200 OK\r\nX-A: b\r\n"), "bad_reply", RECEIVING],
    ["reset in the headers", say("HTTP/1.1 200 OK\r\nX-A: b\r\n", reset), "bad_reply", RECEIVING],
    ["closed in the content", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "bad_reply", PARTIAL],
    ["closed before the content", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "bad_reply", PARTIAL],
    ["closed in a chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), "bad_reply", PARTIAL],
    [
      "closed after a chunk",
      say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
      "bad_reply",
      PARTIAL,
    ],
    ["reset in the content", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", reset), "bad_reply", RECEIVING],
    [
      "closed, though announced, in the content",
      say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nabc"),
      "bad_reply",
      PARTIAL,
    ],
    ["HTTP/0.9", say("<html>hello</html>\n"), "bad_reply", WEIRD],
    ["another protocol", say("SSH-2.0-OpenSSH_9.2\r\n"), "bad_reply", WEIRD],
    ["a greeting of TLS", say(Buffer.from("15030100020246", "hex")), "bad_reply", WEIRD],
    ["status of two digits", say("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["status of letters", say("HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["status 000", say("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["an unknown version", say("HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["a header value with NUL", say("HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["a header without a colon", say("HTTP/1.1 200 OK\r\nnothing\r\nContent-Length: 0\r\n\r\n"), "bad_reply", WEIRD],
    ["a length with a blank", say("HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"), "bad_reply", WEIRD],
    ["a length over two lines", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n"), "bad_reply", WEIRD],
    [
      "chunks with a control character",
      say("HTTP/1.1 200 OK\r\nTransfer-Encoding: ch\x01unked\r\n\r\n"),
      "bad_reply",
      WEIRD,
    ],
    ["a length of letters", say("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"), "bad_reply", WEIRD],
    ["a negative length", say("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "bad_reply", WEIRD],
    ["two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "bad_reply", WEIRD],
    [
      "length and chunks",
      say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      "bad_reply",
      WEIRD,
    ],
    ["a chunk of no size", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "bad_reply", WEIRD],
    [
      "an upgrade nobody asked for",
      say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
      "bad_reply",
      RECEIVING,
    ],
    ["one endless header", say(`HTTP/1.1 200 OK\r\nX-A: ${"x".repeat(100_000)}`), "too_large", GREW],
    ["endless headers", endless("HTTP/1.1 200 OK\r\n", "X-Endless: and on and on\r\n"), "too_large", GREW],
    ["endless interim responses", endless("", HINT), "too_large", GREW],
    ["endless interim responses behind a line end", endless("\r\n", HINT), "too_large", GREW],
    ["an endless status line", say(`HTTP/1.1 200 ${"x".repeat(1_000_000)}`), "too_large", GREW],
  ])("%s", async (_what, answer, code, message) => {
    await using peer = await httpPeer(answer);
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`);
    expect({ code: outcome.code, message: outcome.message }).toEqual({ code, message });
    expect(outcome.maybeReceived).toBe(true);
    expect(peer.received).toHaveLength(1);
  });
});

test("an unknown status is an answer all the same", async () => {
  await using peer = await httpPeer((socket) => socket.write(response("x", [], "799 Odd")));
  await using client = testClient();
  expect((await answered(client, `http://127.0.0.1:${peer.port}/`)).status).toBe(799);
});

test("bytes after an answer belong to nobody, and close the connection", async () => {
  await using peer = await httpPeer((socket, { connection }) =>
    socket.write(Buffer.concat([response(`answer ${connection}`), response("poison")])),
  );
  await using client = testClient({ connectionsPerOrigin: 1 });
  const url = `http://127.0.0.1:${peer.port}/`;
  expect((await answered(client, url)).content.toString()).toBe("answer 1");
  expect((await answered(client, url)).content.toString()).toBe("answer 2");
});

test("a hundred thousand header lines do not get through, a thousand do", async () => {
  await using peer = await httpPeer((socket, { head }) => {
    const count = Number(/\/(\d+)/.exec(head)?.[1]);
    socket.write(
      response(
        "x",
        Array.from({ length: count }, (_, at) => `X-${at}: y`),
      ),
    );
  });
  await using client = testClient();
  expect((await answered(client, `http://127.0.0.1:${peer.port}/1000`)).headers).toHaveLength(1_001);
  expect(await failed(client, `http://127.0.0.1:${peer.port}/100000`)).toMatchObject({ code: "too_large" });
});

test("one failure does not disturb others to the same origin", async () => {
  await using peer = await httpPeer((socket, { head }) => {
    if (head.includes("/bad")) socket.resetAndDestroy();
    else socket.write(response("good"));
  });
  await using client = testClient({ connectionsPerOrigin: 2 });
  const url = `http://127.0.0.1:${peer.port}`;
  const good = Array.from({ length: 20 }, () => answered(client, `${url}/good`));
  const bad = Array.from({ length: 20 }, () => failed(client, `${url}/bad`, { method: "POST" }));
  expect((await Promise.all(good)).every(({ status }) => status === 200)).toBe(true);
  expect((await Promise.all(bad)).every(({ code }) => code === "empty_reply")).toBe(true);
});

test("P2: an answer without a length whose connection is reset in the middle is no answer", async () => {
  await using peer = await httpPeer((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    socket.write(Buffer.alloc(50_000, "x"), () => void socket.resetAndDestroy());
  });
  await using client = testClient();
  expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({
    message: "Failure when receiving data from the peer",
    maybeReceived: true,
  });
});
