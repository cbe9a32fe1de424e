import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { always, answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";

describe("an answer", () => {
  test("has status, headers as the server wrote them, and content", async () => {
    await using peer = await httpPeer(
      always("{}", ["X-Two: a", "content-TYPE: text/x; a=B", "x-two: b", "Set-Cookie: c"], "404 No"),
    );
    await using client = testClient();
    expect(await answered(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({
      kind: "answered",
      status: 404,
      contentType: "text/x; a=B",
      content: Buffer.from("{}"),
      headers: [
        ["X-Two", "a"],
        ["content-TYPE", "text/x; a=B"],
        ["x-two", "b"],
        ["Set-Cookie", "c"],
        ["Content-Length", "2"],
      ],
    });
  });

  test("has header values in UTF-8 where they are that, else in ISO 8859-1", async () => {
    const headers = [Buffer.from("X-A: Zoë").toString("latin1"), "X-B: Zo\xeb"];
    await using peer = await httpPeer(always("", headers));
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
    expect(outcome.headers.slice(0, 2)).toEqual([
      ["X-A", "Zoë"],
      ["X-B", "Zoë"],
    ]);
    expect(outcome.contentType).toBeNull();
  });

  test.each([
    [
      "in chunks, with trailers",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nX-T: 1\r\n\r\n",
      "abcdef",
    ],
    ["of no content", "Content-Length: 0\r\n\r\n", ""],
  ])("%s", async (_what, rest, content) => {
    await using peer = await httpPeer((socket) => socket.write(`HTTP/1.1 200 OK\r\n${rest}`));
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
    expect(outcome.content.toString()).toBe(content);
  });

  test.each(["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])(
    "that ends with its connection: %j",
    async (head) => {
      await using peer = await httpPeer((socket) => socket.end(`${head}abc`));
      await using client = testClient();
      const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
      expect(outcome.content.toString()).toBe("abc");
    },
  );

  test.each(["204 No Content", "304 Not Modified"])("%s has no content, and its connection goes on", async (status) => {
    await using peer = await httpPeer((socket) => socket.write(`HTTP/1.1 ${status}\r\nX-A: b\r\n\r\n`));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${peer.port}/`;
    expect((await answered(client, url)).content).toHaveLength(0);
    expect((await answered(client, url)).status).toBe(Number(status.slice(0, 3)));
    expect(peer.connections).toBe(1);
  });

  test.each(["204 No Content", "304 Not Modified"])("%s may say how long its content would be", async (status) => {
    await using peer = await httpPeer((socket) =>
      socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 123456789\r\n\r\n`),
    );
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
    expect(outcome).toMatchObject({ status: Number(status.slice(0, 3)), content: Buffer.alloc(0) });
  });

  test("to HEAD has no content, however long it says it is, and however encoded", async () => {
    await using peer = await httpPeer((socket) =>
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 123456789\r\nContent-Encoding: gzip\r\n\r\n"),
    );
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`, { method: "HEAD" });
    expect(outcome).toMatchObject({ status: 200, content: Buffer.alloc(0) });
  });

  test.each([
    ["100", "HTTP/1.1 100 Continue\r\n\r\n"],
    ["100 with headers", "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n"],
    ["100 twice", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"],
    ["102", "HTTP/1.1 102 Processing\r\n\r\n"],
    ["103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"],
    ["103, 100, 103", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"],
  ])("interim responses before it are passed over: %s", async (_what, interim) => {
    await using peer = await httpPeer((socket) => socket.write(Buffer.concat([Buffer.from(interim), response("abc")])));
    await using client = testClient({ connectionsPerOrigin: 1 });
    const parts = { method: "POST", body: Buffer.from("x") };
    for (let at = 0; at < 2; at++) {
      const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`, parts);
      expect(outcome).toMatchObject({ status: 200, content: Buffer.from("abc"), headers: [["Content-Length", "3"]] });
    }
    expect(peer.connections).toBe(1);
  });

  test("an interim response may come byte by byte, and content may look like one", async () => {
    const content = "HTTP/1.1 100 Continue\r\n\r\nabc";
    const bytes = Buffer.concat([Buffer.from("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"), response(content)]);
    await using peer = await httpPeer((socket) => {
      socket.setNoDelay(true);
      const next = (at: number): void => {
        socket.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      next(0);
    });
    await using client = testClient();
    expect((await answered(client, `http://127.0.0.1:${peer.port}/`)).content.toString()).toBe(content);
  });

  test("before the request's body was read counts", async () => {
    await using peer = await httpPeer(() => {}, {
      accepted: (socket) => {
        socket.removeAllListeners("data");
        socket.once("data", () => {
          socket.pause();
          socket.write(response("too big", ["Connection: close"], "413 Payload Too Large"));
        });
      },
    });
    await using client = testClient();
    const parts = { method: "POST", body: Buffer.alloc(20_000_000) };
    expect(await answered(client, `http://127.0.0.1:${peer.port}/`, parts)).toMatchObject({ status: 413 });
  });
});

describe("content encodings are undone", () => {
  const plain = Buffer.from("content ".repeat(1_000));
  const times = (count: number, content: Buffer, encode: (content: Buffer) => Buffer): Buffer =>
    count === 0 ? content : times(count - 1, encode(content), encode);
  test.each([
    ["gzip", gzipSync(plain)],
    ["GZip", gzipSync(plain)],
    ["x-gzip", gzipSync(plain)],
    ["deflate", deflateSync(plain)],
    ["deflate", deflateRawSync(plain)],
    ["br", brotliCompressSync(plain)],
    ["gzip, br", brotliCompressSync(gzipSync(plain))],
    ["gzip, identity ,deflate", deflateSync(gzipSync(plain))],
    ["gzip, gzip, gzip, gzip, gzip", times(5, plain, gzipSync)],
    ["identity", plain],
    ["utf-8", plain],
    ["", plain],
  ])("%s", async (encoding, content) => {
    await using peer = await httpPeer(always(content, [`Content-Encoding: ${encoding}`]));
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/`);
    expect(outcome.content.equals(plain)).toBe(true);
    expect(outcome.headers).toContainEqual(["Content-Encoding", encoding]);
  });

  test("given in two headers", async () => {
    await using peer = await httpPeer(
      always(brotliCompressSync(gzipSync(plain)), ["Content-Encoding: gzip", "Content-Encoding: br"]),
    );
    await using client = testClient();
    expect((await answered(client, `http://127.0.0.1:${peer.port}/`)).content.equals(plain)).toBe(true);
  });

  test.each([
    ["no gzip at all", "gzip", plain],
    ["gzip cut short", "gzip", gzipSync(plain).subarray(0, -10)],
    ["deflate of garbage", "deflate", Buffer.from([255, 255, 255])],
    ["brotli cut short", "br", brotliCompressSync(plain).subarray(0, 10)],
    ["only the outer one right", "gzip, br", brotliCompressSync(plain)],
    ["too many", "gzip, gzip, gzip, gzip, gzip, gzip", times(6, plain, gzipSync)],
  ])("wrong: %s", async (_what, encoding, content) => {
    await using peer = await httpPeer(always(content, [`Content-Encoding: ${encoding}`]));
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({
      code: "bad_reply",
      message: "Unrecognized or bad HTTP Content or Transfer-Encoding",
      maybeReceived: true,
    });
  });

  test.each([
    ["gzip", gzipSync(Buffer.alloc(50_000_000))],
    ["deflate", deflateSync(Buffer.alloc(50_000_000))],
    ["br", brotliCompressSync(Buffer.alloc(50_000_000))],
    ["gzip, gzip", gzipSync(gzipSync(Buffer.alloc(50_000_000)))],
  ])("a bomb in %s is too large", async (encoding, content) => {
    await using peer = await httpPeer(always(content, [`Content-Encoding: ${encoding}`]));
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({
      code: "too_large",
      message: "Maximum file size exceeded (100000 bytes)",
    });
  });
});

describe("the size of an answer is limited", () => {
  test("exactly the limit is taken, one more is not, announced or not", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      const content = "x".repeat(Number(/\/(\d+)/.exec(head)?.[1]));
      if (head.includes("chunked")) {
        const size = content.length.toString(16);
        socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\n${content}\r\n0\r\n\r\n`);
      } else socket.write(response(content));
    });
    await using client = testClient();
    const url = `http://127.0.0.1:${peer.port}`;
    for (const how of ["plain", "chunked"]) {
      expect((await answered(client, `${url}/100000/${how}`)).content).toHaveLength(100_000);
      expect(await failed(client, `${url}/100001/${how}`)).toMatchObject({ code: "too_large", maybeReceived: true });
    }
  });

  test("an endless answer is cut off", async () => {
    await using peer = await httpPeer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const more = (): void => {
        if (!socket.destroyed) socket.write(Buffer.alloc(65_536), more);
      };
      more();
    });
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({ code: "too_large" });
  });
});
