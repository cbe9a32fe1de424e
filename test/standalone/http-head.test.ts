import { type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";
import { cpuSeconds } from "../support/cpu-seconds.ts";
import { decodeContent } from "../../src/http/decode.ts";

/** A head with `field` in its middle, and content. */
const headWith = (field: string): Buffer =>
  Buffer.from(`HTTP/1.1 200 OK\r\nX-A: 1\r\n${field}\r\nContent-Length: 2\r\n\r\nhi`, "latin1");

const FIELDS: readonly (readonly [what: string, field: string, kept: readonly (readonly [string, string])[]])[] = [
  ["a name with a blank", "X Frame Options: deny", []],
  ["a blank before the colon", "X-Frame : deny", []],
  ["a name with a control character", "X\x01B: c", []],
  ["a name with brackets", "X(B): c", []],
  ["a name beyond ASCII", "X-\xe9: c", []],
  ["no name", ": c", []],
  ["a control character in a value", "X-B: c\x01d", []],
  ["DEL in a value", "X-B: c\x7fd", []],
  ["a carriage return in a value", "X-B: c\rd", []],
  [
    "several of them",
    "X B: c\r\nX-C: d\r\nX-D: \x02\r\nX-E: f",
    [
      ["X-C", "d"],
      ["X-E", "f"],
    ],
  ],
  ["a value over several lines", "X-B: c\r\n  d\r\n\te", [["X-B", "c d e"]]],
  [
    "a line feed alone",
    "X-B: c\nX-C: d",
    [
      ["X-B", "c"],
      ["X-C", "d"],
    ],
  ],
  ["bytes beyond ASCII in a value", "X-B: \xe9", [["X-B", "é"]]],
  ["UTF-8 that ends as a blank does in another charset", "X B: c\r\nX-C: \xc3\xa0", [["X-C", "à"]]],
];

/** Writes `bytes` in pieces of `size`, each in a packet of its own as far as that can be had. */
async function trickle(socket: Socket, bytes: Buffer, size: number): Promise<void> {
  for (let at = 0; at < bytes.length && !socket.destroyed; at += size) {
    await new Promise((written) => socket.write(bytes.subarray(at, at + size), written));
    await nextTurn();
  }
}

describe("a response has the status and whatever headers are well formed", () => {
  test.each(FIELDS)("%s", async (_what, field, kept) => {
    for (const size of [1_000, 1]) {
      await using peer = await httpPeer((socket) => void trickle(socket, headWith(field), size), {
        accepted: (socket) => socket.setNoDelay(true),
      });
      await using client = testClient({ connectionsPerOrigin: 1 });
      const url = `http://127.0.0.1:${peer.port}/`;
      for (let at = 0; at < 2; at++) {
        const { status, headers, content } = await answered(client, url);
        expect([status, headers, content.toString()]).toEqual([
          200,
          [["X-A", "1"], ...kept, ["Content-Length", "2"]],
          "hi",
        ]);
      }
      expect(peer.connections).toBe(1);
    }
  });

  test("also after interim responses, and with content that looks like a head", async () => {
    const content = "HTTP/1.1 500 No\r\nX B: c\r\n\r\n";
    const bytes = `HTTP/1.1 100 Continue\r\nX B: c\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nX B: c\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
    for (const size of [1_000, 7, 1]) {
      await using peer = await httpPeer((socket) => void trickle(socket, Buffer.from(bytes), size));
      await using client = testClient();
      const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
      expect([outcome.status, outcome.headers, outcome.content.toString()]).toEqual([
        200,
        [["Content-Length", String(content.length)]],
        content,
      ]);
    }
  });
});

test.each(["HTTP/1.1 1000 Odd", "HTTP/1.1 10 Odd", "HTTP/1.1 1xx Odd", "HTTP/1.1 100Odd"])(
  "a response that only begins like an interim one is not passed over: %s",
  async (line) => {
    const bytes = Buffer.concat([Buffer.from(`${line}\r\nContent-Length: 0\r\n\r\n`), response("the next one")]);
    for (const size of [1_000, 1]) {
      await using peer = await httpPeer((socket) => void trickle(socket, bytes, size));
      await using client = testClient();
      expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({ code: "bad_reply" });
    }
  },
);

test("a response cut in a malformed head is not asked for again over another connection", async () => {
  await using peer = await httpPeer((socket, { connection }) => {
    if (peer.received.length === 1) socket.write(response("first"));
    else socket.end(`HTTP/1.1 200 OK\r\nX-Connection: ${connection}\r\nX B`);
  });
  await using client = testClient({ connectionsPerOrigin: 1 });
  const url = `http://127.0.0.1:${peer.port}/`;
  await answered(client, url);
  expect(await failed(client, url)).toMatchObject({
    code: "bad_reply",
    message: "Failure when receiving data from the peer",
    maybeReceived: true,
  });
  expect(peer.received).toHaveLength(2);
});

test("a head that comes byte by byte costs little time, and memory for its bytes alone", async () => {
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nX-A: ${"\n a".repeat(10_000)}\r\nContent-Length: 0\r\n\r\n`);
  await using peer = await httpPeer((socket) => void trickle(socket, head, 1), {
    accepted: (socket) => socket.setNoDelay(true),
  });
  await using client = testClient();
  const { status, headers } = await answered(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 25_000 });
  expect([status, headers[0]?.[1].length]).toEqual([200, 20_000 - 1]);
});

test("P6: a head of carriage returns, or of blanks before a charset, is read in a moment: not with the square of its length", async () => {
  const [returns, blanks] = ["\r".repeat(60_000), " ".repeat(60_000)];
  for (const field of [`X: ${returns}x`, `X: ${returns}`, `Content-Type: text/plain${blanks}x;charset=latin1`]) {
    await using peer = await httpPeer(() => {}, {
      accepted: (socket) =>
        socket.once("data", () => socket.write(`HTTP/1.1 200 OK\r\n${field}\r\nContent-Length: 2\r\n\r\nok`)),
    });
    await using client = testClient();
    const seconds = await cpuSeconds(async () => {
      const { content, contentType } = await answered(client, `http://127.0.0.1:${peer.port}/`);
      expect(decodeContent(content, contentType).text?.toString()).toBe("ok");
    });
    expect(seconds).toBeLessThan(1);
  }
});
