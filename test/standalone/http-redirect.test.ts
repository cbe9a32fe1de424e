import { describe, expect, test } from "vitest";
import {
  type HttpPeer,
  always,
  answered,
  failed,
  httpPeer,
  requestOf,
  response,
  testClient,
} from "../support/http-peer.ts";

/** Redirects `/<status>/…` to the location given; answers everything else. */
function redirecting(location: string): Promise<HttpPeer> {
  return httpPeer((socket, { head }) => {
    const status = /^\S+ \/(\d+)/.exec(head)?.[1];
    socket.write(
      status === undefined ? response("there") : response("moved", [`Location: ${location}`], `${status} Moved`),
    );
  });
}

function requestLines(peer: HttpPeer): (string | undefined)[] {
  return peer.received.map(({ head }) => head.split(" HTTP/1.1", 1)[0]);
}

describe("a redirect turns", () => {
  test.each([
    [301, "POST", "GET"],
    [302, "POST", "GET"],
    [303, "POST", "GET"],
    [303, "PUT", "GET"],
    [303, "PATCH", "GET"],
    [303, "DELETE", "GET"],
    [303, "HEAD", "HEAD"],
    [300, "GET", "GET"],
    [301, "GET", "GET"],
    [301, "HEAD", "HEAD"],
    [301, "PUT", "PUT"],
    [302, "DELETE", "DELETE"],
    [302, "PATCH", "PATCH"],
    [307, "POST", "POST"],
    [307, "GET", "GET"],
    [308, "POST", "POST"],
    [308, "PATCH", "PATCH"],
  ])("%i: %s into %s", async (status, method, becomes) => {
    await using peer = await redirecting("/new?x=y");
    await using client = testClient();
    const body = method === "GET" || method === "HEAD" ? null : Buffer.from("{}");
    const headers = [
      ["Content-Type", "application/json"],
      ["X-Own", "1"],
    ] as const;
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/${status}`, { method, body, headers });
    expect(outcome.status).toBe(200);
    expect(requestLines(peer)).toEqual([`${method} /${status}`, `${becomes} /new?x=y`]);
    const second = peer.received[1];
    expect(second?.body.toString()).toBe(body !== null && becomes === method ? "{}" : "");
    expect(second?.head.includes("Content-Type")).toBe(becomes === method);
    expect(second?.head.includes("content-length")).toBe(body !== null && becomes === method);
    expect(second?.head).toContain("X-Own: 1");
  });
});

describe("the location", () => {
  test.each([
    ["/abs", "/abs"],
    ["rel", "/302/rel"],
    ["../up", "/up"],
    ["?q", "/302/here?q"],
    ["/a b\u00e9#frag", "/a%20b%C3%A9"],
    ["//127.0.0.1:PORT/x", "/x"],
    ["http://localhost:PORT/y", "/y"],
    ["HTTP:\\\\127.0.0.1:PORT\\z", "/z"],
  ])("%j", async (location, path) => {
    const bytes = Buffer.from(location).toString("latin1");
    let port = 0;
    await using peer = await httpPeer((socket, { head }) => {
      const first = head.startsWith("GET /302/here ");
      const to = `Location: ${bytes.replace("PORT", String(port))}`;
      socket.write(first ? response("", [to], "302 Found") : response());
    });
    port = peer.port;
    await using client = testClient();
    expect((await answered(client, `http://127.0.0.1:${port}/302/here`)).status).toBe(200);
    expect(requestLines(peer)[1]).toBe(`GET ${path}`);
  });

  test.each([
    ["/caf\xe9?b=\xfc#\xe4", "/caf%E9?b=%FC"],
    ["/caf\xc3\xa9/\xe9", "/caf%C3%A9/%E9"],
    ["//127.0.0.1:PORT/\x80\xff", "/%80%FF"],
  ])(
    "%j, which is not UTF-8, is followed byte for byte, as with curl, and stored as ISO 8859-1",
    async (bytes, path) => {
      let port = 0;
      await using peer = await httpPeer((socket, { head }) => {
        const first = head.startsWith("GET /302 ");
        const to = `Location: ${bytes.replace("PORT", String(port))}`;
        socket.write(first ? response("", [to], "302 Found") : response());
      });
      port = peer.port;
      await using client = testClient();
      expect((await answered(client, `http://127.0.0.1:${port}/302`)).status).toBe(200);
      expect(requestLines(peer)[1]).toBe(`GET ${path}`);
      const { headers } = await answered(client, `http://127.0.0.1:${port}/302`, { maxRedirects: 0 });
      expect(headers).toContainEqual(["Location", bytes.replace("PORT", String(port))]);
    },
  );

  test.each([
    ["http://caf\xe9.example/", "URL using bad/illegal format or missing URL"],
    ["file:///etc/passwd", "Unsupported protocol"],
    ["ftp://127.0.0.1/", "Unsupported protocol"],
    ["data:,x", "Unsupported protocol"],
    ["http://[::1", "URL using bad/illegal format or missing URL"],
  ])("%s is not followed", async (location, message) => {
    await using peer = await redirecting(location);
    await using client = testClient();
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/302`);
    expect(outcome).toMatchObject({ code: "redirects", message, maybeReceived: true });
    expect(peer.received).toHaveLength(1);
  });

  test("missing, or with another status: the response is the answer", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      const headers = head.includes("/304") ? ["Location: /x"] : [];
      socket.write(
        head.includes("/304") ? "HTTP/1.1 304 Same\r\nLocation: /x\r\n\r\n" : response("", headers, "302 Found"),
      );
    });
    await using client = testClient();
    expect((await answered(client, `http://127.0.0.1:${peer.port}/302`)).status).toBe(302);
    expect((await answered(client, `http://127.0.0.1:${peer.port}/304`)).status).toBe(304);
    expect(peer.received).toHaveLength(2);
  });

  test("empty: the response is the answer, and nothing is sent again", async () => {
    await using peer = await redirecting("");
    await using client = testClient();
    const outcome = await answered(client, `http://127.0.0.1:${peer.port}/307`, {
      method: "POST",
      body: Buffer.from("{}"),
    });
    expect(outcome.status).toBe(307);
    expect(peer.received).toHaveLength(1);
  });

  test("given several times: the first that is not empty counts, as with curl", async () => {
    await using peer = await redirecting("\r\nLocation: /first\r\nLocation: /second");
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/302`);
    expect(requestLines(peer)).toEqual(["GET /302", "GET /first"]);
  });

  test("cannot split the next request", async () => {
    await using peer = await redirecting("/a%0d%0aX-Injected:%201\tb");
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/302`);
    expect(peer.received[1]?.head).not.toMatch(/^X-Injected/im);
  });
});

describe("the number of redirects", () => {
  test.each([
    [1, 2],
    [5, 6],
  ])("is limited to %i", async (maxRedirects, requests) => {
    await using peer = await redirecting("/302");
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/302`, { maxRedirects })).toMatchObject({
      code: "redirects",
      message: "Number of redirects hit maximum amount",
      maybeReceived: true,
    });
    expect(peer.received).toHaveLength(requests);
  });

  test("0 makes the redirect the answer", async () => {
    await using peer = await redirecting("/302");
    await using client = testClient();
    expect(await answered(client, `http://127.0.0.1:${peer.port}/302`, { maxRedirects: 0 })).toMatchObject({
      status: 302,
    });
    expect(peer.received).toHaveLength(1);
  });

  test("as many as allowed are followed", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      const at = Number(/\/(\d+)/.exec(head)?.[1]);
      socket.write(at === 5 ? response("done") : response("", [`Location: /${at + 1}`], "301 Moved"));
    });
    await using client = testClient();
    expect((await answered(client, `http://127.0.0.1:${peer.port}/0`)).content.toString()).toBe("done");
  });
});

describe("credentials", () => {
  const headers = [
    ["authorization", "Bearer secret"],
    ["Cookie", "a=secret"],
    ["Proxy-Authorization", "Basic secret"],
    ["apiKey", "secret"],
    ["X-API-KEY", "secret"],
    ["x-auth-token", "secret"],
    ["X-Own", "1"],
  ] as const;

  test("stay with the same scheme, host and port", async () => {
    await using peer = await redirecting("/new");
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/307`, { headers });
    expect(peer.received[1]?.head.match(/secret/g)).toHaveLength(6);
  });

  test("of the url stay there too, once", async () => {
    await using peer = await redirecting("/new");
    await using client = testClient();
    await answered(client, `http://user:pass@127.0.0.1:${peer.port}/302`);
    expect(peer.received[1]?.head.match(/^authorization: .*/gim)).toHaveLength(1);
  });

  test.each(["another host", "another port"])("and Host are dropped for %s", async (where) => {
    await using other = await httpPeer(always("other"));
    let same = 0;
    await using peer = await httpPeer((socket) => {
      const to = where === "another port" ? `127.0.0.1:${other.port}` : `localhost:${same}`;
      const first = peer.received.length === 1;
      socket.write(first ? response("", [`Location: http://${to}/`], "307 There") : response());
    });
    same = peer.port;
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/`, { headers: [...headers, ["Host", "virtual.example"]] });
    const second = where === "another port" ? other.received[0] : peer.received[1];
    expect(second?.head).toContain("X-Own: 1");
    expect(second?.head).not.toMatch(/secret|virtual/);
  });

  test("of the url are dropped for another host, and do not come back with the first", async () => {
    let first = 0;
    await using other = await httpPeer((socket) =>
      socket.write(response("", [`Location: http://127.0.0.1:${first}/back`], "302 Back")),
    );
    await using peer = await httpPeer((socket, { head }) => {
      const back = head.startsWith("GET /back ");
      socket.write(back ? response() : response("", [`Location: http://127.0.0.1:${other.port}/`], "302 There"));
    });
    first = peer.port;
    await using client = testClient();
    await answered(client, `http://user:secret@127.0.0.1:${first}/`);
    expect(peer.received.map(({ head }) => /^authorization:/im.test(head))).toEqual([true, false]);
    expect(other.received.map(({ head }) => /^authorization:/im.test(head))).toEqual([false]);
  });

  test("named by the location are used", async () => {
    await using other = await httpPeer(always());
    await using peer = await redirecting(`http://new:pass@127.0.0.1:${other.port}/`);
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/302`);
    expect(other.received[0]?.head).toContain(`Authorization: Basic ${Buffer.from("new:pass").toString("base64")}`);
  });
});

describe("an Idempotency-Key", () => {
  /** The Idempotency-Key of each request, in turn, of a POST that is redirected to `to`. */
  async function keysSent(to: "the same origin" | "another", headers: readonly (readonly [string, string])[]) {
    await using other = await httpPeer(always());
    await using peer = await redirecting(to === "another" ? `http://127.0.0.1:${other.port}/` : "/new");
    await using client = testClient();
    const request = requestOf(`http://127.0.0.1:${peer.port}/307`, {
      method: "POST",
      body: Buffer.from("{}"),
      headers,
    });
    await client.send(request, { idempotencyKey: "installation-1" });
    return [...peer.received, ...other.received].map(({ head }) => /^idempotency-key: (.*)/im.exec(head)?.[1] ?? null);
  }

  test("that pgnetd added stays with the origin it was made for", async () => {
    expect(await keysSent("the same origin", [])).toEqual(["installation-1", "installation-1"]);
    expect(await keysSent("another", [])).toEqual(["installation-1", null]);
  });

  test("that the caller set goes wherever the request goes, as with curl", async () => {
    expect(await keysSent("another", [["idempotency-KEY", "mine"]])).toEqual(["mine", "mine"]);
  });
});
