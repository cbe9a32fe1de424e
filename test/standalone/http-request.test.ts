import { describe, expect, test } from "vitest";
import { always, answered, failed, httpPeer, requestOf, response, testClient } from "../support/http-peer.ts";

describe("a request on the wire", () => {
  test("GET", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/a/b?c=%20d&e#f`);
    expect(peer.received[0]?.head.split("\r\n")).toEqual([
      "GET /a/b?c=%20d&e HTTP/1.1",
      `host: 127.0.0.1:${peer.port}`,
      "connection: keep-alive",
      "User-Agent: pg_net/0.0.0 (pgnetd)",
      "Accept: */*",
    ]);
  });

  test.each(["POST", "PUT", "PATCH", "DELETE"])(
    "%s sends its body whole, with its length, not chunked",
    async (method) => {
      await using peer = await httpPeer(always());
      await using client = testClient();
      const body = Buffer.from([0, 255, 13, 10, 13, 10, 0]);
      await answered(client, `http://127.0.0.1:${peer.port}/`, { method, body });
      const [{ head, body: got } = { head: "", body: null }] = peer.received;
      expect(head).toMatch(new RegExp(`^${method} / HTTP/1.1\r\n`));
      expect(head.match(/content-length: 7/gi)).toHaveLength(1);
      expect(head).not.toMatch(/transfer-encoding/i);
      expect(got).toEqual(body);
    },
  );

  test.each(["POST", "PUT", "PATCH"])("%s without a body says so", async (method) => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/`, { method });
    expect(peer.received[0]?.head).toMatch(/content-length: 0/i);
  });

  test.each(["GET", "HEAD"])("%s never sends a body", async (method) => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url, { method, body: Buffer.from("GET /smuggled HTTP/1.1\r\n\r\n") });
    await answered(client, url);
    expect(peer.received.map(({ head }) => head.split(" ", 1)[0])).toEqual([method, "GET"]);
    expect(peer.received[0]?.head).not.toMatch(/content-length|transfer-encoding/i);
  });

  test("a megabyte arrives whole", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    const body = Buffer.alloc(1_000_000, "0123456789");
    await answered(client, `http://127.0.0.1:${peer.port}/`, { method: "POST", body });
    expect(peer.received[0]?.body.equals(body)).toBe(true);
  });
});

describe("headers of the caller", () => {
  const sent = async (headers: readonly (readonly [string, string])[], idempotencyKey: string | null = null) => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    const request = requestOf(`http://127.0.0.1:${peer.port}/`, { method: "POST", body: Buffer.from("abc"), headers });
    const outcome = await client.send(request, { idempotencyKey });
    expect(outcome.kind).toBe("answered");
    return (peer.received[0]?.head ?? "").split("\r\n").slice(1);
  };

  test("are sent as written, in order, repeated ones too", async () => {
    const lines = await sent([
      ["X-CamelCase", "one"],
      ["x-lower", "  two  "],
      ["X-CamelCase", "three"],
    ]);
    expect(lines.filter((line) => line.startsWith("X-Camel") || line.startsWith("x-lower"))).toEqual([
      "X-CamelCase: one",
      "x-lower:   two  ",
      "X-CamelCase: three",
    ]);
  });

  test("win over what would be added, in any case", async () => {
    const own = [
      ["user-AGENT", "mine"],
      ["accept", "text/x"],
      ["idempotency-KEY", "own"],
    ] as const;
    const lines = await sent(own, "added");
    expect(lines.filter((line) => /^(user-agent|accept|idempotency-key):/i.test(line))).toEqual([
      "user-AGENT: mine",
      "accept: text/x",
      "idempotency-KEY: own",
    ]);
  });

  test("get an Idempotency-Key added when one is given", async () => {
    expect(await sent([], "abc-1")).toContain("Idempotency-Key: abc-1");
  });

  test("with an empty value are not sent, and nothing is sent in their place, as with curl", async () => {
    const lines = await sent([
      ["User-Agent", ""],
      ["Accept", " "],
      ["X-Empty", ""],
    ]);
    expect(lines.filter((line) => /^(user-agent|accept|x-empty):/i.test(line))).toEqual([]);
  });

  test("beyond ASCII are sent as UTF-8", async () => {
    const lines = await sent([["X-Name", "Zoë 日本"]]);
    expect(lines.map((line) => Buffer.from(line, "latin1").toString())).toContain("X-Name: Zoë 日本");
  });

  test("Host replaces the url's", async () => {
    const lines = await sent([
      ["Host", "example.com"],
      ["host", "second.example"],
    ]);
    expect(lines.filter((line) => /^host:/i.test(line))).toEqual(["host: example.com"]);
  });

  test("that belong to the connection are left to it", async () => {
    const lines = await sent([
      ["Content-Length", "1"],
      ["Transfer-Encoding", "chunked"],
      ["Connection", "keep-alive, X-Other"],
      ["Keep-Alive", "timeout=1"],
      ["Expect", "100-continue"],
      ["Upgrade", "h2c"],
      ["TE", "trailers"],
      ["Trailer", "x"],
      ["Proxy-Connection", "close"],
    ]);
    const names = lines.map((line) => line.split(":", 1)[0]);
    expect(names).toEqual(["host", "connection", "User-Agent", "Accept", "content-length"]);
    expect(lines).toContain("content-length: 3");
  });

  test("Connection: close closes it", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    const url = `http://127.0.0.1:${peer.port}/`;
    await answered(client, url, { headers: [["Connection", "Close"]] });
    await answered(client, url);
    expect(peer.received.map(({ connection }) => connection)).toEqual([1, 2]);
    expect(peer.received[0]?.head).toMatch(/^connection: close$/im);
  });
});

describe("userinfo of the url", () => {
  test.each([
    ["user:pass", "user:pass"],
    ["user", "user:"],
    ["u%40x:p%3Aw%C3%A9", "u@x:p:wé"],
    ["a:%zz", "a:%zz"],
  ])("%s becomes Basic authorization", async (userinfo, decoded) => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    await answered(client, `http://${userinfo}@127.0.0.1:${peer.port}/`);
    const value = Buffer.from(decoded).toString("base64");
    expect(peer.received[0]?.head.split("\r\n")).toContain(`Authorization: Basic ${value}`);
    expect(peer.received[0]?.head).not.toContain(`${userinfo}@`);
  });

  test("yields to the caller's own Authorization", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    await answered(client, `http://user:pass@127.0.0.1:${peer.port}/`, { headers: [["authorization", "Bearer x"]] });
    expect(peer.received[0]?.head.match(/^authorization: .*/gim)).toEqual(["authorization: Bearer x"]);
  });
});

describe("what cannot be sent is a bad request, named without its value, and nothing is sent", () => {
  test.each([
    ["a line feed in a value", { headers: [["X-A", "secret\r\nX-B: c"]] }, /^header "X-A" contains/],
    ["NUL in a value", { headers: [["X-A", "secret\0"]] }, /^header "X-A" contains/],
    ["DEL in a value", { headers: [["X-A", "secret\x7f"]] }, /^header "X-A" contains/],
    ["a line feed in a name", { headers: [["X\r\nY: z", "secret"]] }, /^invalid header name "X\?\?Y: z"$/],
    ["a blank in a name", { headers: [["X Y", "secret"]] }, /^invalid header name "X Y"$/],
    ["an empty name", { headers: [["", "secret"]] }, /^invalid header name ""$/],
    ["a colon in a name", { headers: [["X:", "secret"]] }, /^invalid header name "X:"$/],
    ["a name beyond ASCII", { headers: [["Ⅹ", "secret"]] }, /^invalid header name "\?"$/],
    ["a control character in Host", { headers: [["Host", "secret\n"]] }, /^header "Host" contains/],
    ["a long name", { headers: [["X".repeat(10_000), "secret\n"]] }, /^header "X{64}" contains/],
    ["a line feed in the method", { method: "GET / HTTP/1.1\r\nX: y\r\n\r\nGET" }, /^unsupported request method$/],
    ["CONNECT", { method: "CONNECT" }, /^unsupported request method$/],
    ["TRACE", { method: "TRACE" }, /^unsupported request method$/],
    ["no method", { method: "" }, /^unsupported request method$/],
    ["a negative timeout", { timeoutMs: -1 }, /^timeout_milliseconds must not be negative, got -1$/],
  ] as const)("%s", async (_what, parts, message) => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, parts);
    expect(outcome).toMatchObject({ kind: "failed", code: "bad_request", maybeReceived: false });
    expect(outcome.message).toMatch(message);
    expect(outcome.message).not.toContain("secret");
    expect(peer.connections).toBe(0);
  });

  test.each([
    ["file:///etc/passwd", "Unsupported protocol"],
    ["ftp://127.0.0.1/", "Unsupported protocol"],
    ["gopher://127.0.0.1/", "Unsupported protocol"],
    ["unix:///var/run/docker.sock", "Unsupported protocol"],
    ["http+unix://%2Fvar%2Frun%2Fdocker.sock/", "Unsupported protocol"],
    ["javascript:1", "Unsupported protocol"],
    ["", "URL using bad/illegal format or missing URL"],
    ["/relative", "URL using bad/illegal format or missing URL"],
    ["http://", "URL using bad/illegal format or missing URL"],
    ["http://[::1", "URL using bad/illegal format or missing URL"],
    ["http://a:99999/", "URL using bad/illegal format or missing URL"],
    ["http://a b/", "URL using bad/illegal format or missing URL"],
    ["http://[fe80::1%25lo]/", "URL using bad/illegal format or missing URL"],
  ])("url %s", async (url, message) => {
    await using client = testClient();
    expect(await failed(client, url)).toMatchObject({ code: "bad_request", message, maybeReceived: false });
  });

  test("line ends in the url do not reach the wire", async () => {
    await using peer = await httpPeer(always());
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/a\r\nX-Injected: 1\r\n\r\n?b=\r\nc%0d%0a`);
    expect(peer.received).toHaveLength(1);
    expect(peer.received[0]?.head).toMatch(/^GET \/aX-Injected:%201\?b=c%0d%0a HTTP\/1\.1\r\n/);
  });
});

test("requests beyond the connections of an origin wait for one, and all are answered", async () => {
  await using peer = await httpPeer((socket, { head }) => socket.write(response(head.split(" ")[1] ?? "")));
  await using client = testClient({ connectionsPerOrigin: 3 });
  const paths = Array.from({ length: 50 }, (_, at) => `/${at}`);
  const all = await Promise.all(paths.map((path) => answered(client, `http://127.0.0.1:${peer.port}${path}`)));
  expect(all.map(({ content }) => content.toString())).toEqual(paths);
  expect(peer.connections).toBe(3);
});
