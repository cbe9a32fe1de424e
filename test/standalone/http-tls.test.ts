import { readFileSync } from "node:fs";
import { type TLSSocket } from "node:tls";
import { describe, expect, test, vi } from "vitest";
import { type HttpClient } from "../../src/http/client.ts";
import { always, answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";

const file = (name: string): string => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const key = file("server.key");
const good = { key, cert: file("server.pem") };
const expired = { key, cert: file("expired.pem") };
const NOT_OK = "SSL peer certificate or SSH remote key was not OK";

const trusting = (): HttpClient =>
  testClient({
    trustedCertificates: [file("ca.pem")],
    connectionsPerOrigin: 1,
    resolve: (_name, resolved) => setImmediate(resolved, null, [{ address: "127.0.0.1", family: 4 }]),
  });

describe("https", () => {
  test.each(["localhost", "localhost.", "127.0.0.1"])("to %s, with a certificate for it", async (host) => {
    await using peer = await httpPeer(always("ok"), { tls: good });
    await using client = trusting();
    const outcome = await answered(client, `https://${host}:${peer.port}/`, { method: "POST", body: Buffer.from("x") });
    expect(outcome.content.toString()).toBe("ok");
    expect(outcome.timings.connectMs).toBeGreaterThan(0);
    expect(peer.received[0]?.head).toContain(`host: ${host}:${peer.port}`);
  });

  test("names the host (SNI), without its last dot, and no address; HTTP/1.1 is agreed", async () => {
    const seen: unknown[] = [];
    await using peer = await httpPeer(always("ok", ["Connection: close"]), {
      tls: { ...good, ALPNProtocols: ["h2", "http/1.1"] },
      accepted: (socket) => {
        const { servername, alpnProtocol } = socket as TLSSocket;
        seen.push([servername, alpnProtocol]);
      },
    });
    await using client = trusting();
    for (const host of ["localhost", "localhost.", "127.0.0.1"])
      await answered(client, `https://${host}:${peer.port}/`);
    expect(seen).toEqual([
      ["localhost", "http/1.1"],
      ["localhost", "http/1.1"],
      [false, "http/1.1"],
    ]);
  });

  test("a Host header changes neither the name of the certificate nor the connection", async () => {
    await using peer = await httpPeer(always("ok"), { tls: good });
    await using client = trusting();
    const url = `https://localhost:${peer.port}/`;
    for (const host of ["a.test", "b.test"]) await answered(client, url, { headers: [["Host", host]] });
    await answered(client, url);
    expect(peer.received.map(({ head }) => /^host: (.*)/im.exec(head)?.[1])).toEqual([
      "a.test",
      "b.test",
      `localhost:${peer.port}`,
    ]);
    expect(peer.connections).toBe(1);
  });

  test("a certificate nobody signed for us is refused, and nothing of the request leaves", async () => {
    await using peer = await httpPeer(always("ok"), { tls: good });
    await using client = testClient();
    expect(await failed(client, `https://localhost:${peer.port}/`)).toMatchObject({
      code: "tls",
      message: NOT_OK,
      detail: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      maybeReceived: false,
    });
    expect(peer.received).toHaveLength(0);
  });

  test.each([
    ["one out of date", expired, "localhost", "CERT_HAS_EXPIRED"],
    ["one of another host", good, "other.test", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["one of another address", good, "127.0.0.2", "ERR_TLS_CERT_ALTNAME_INVALID"],
  ])("so is %s, every time", async (_what, tls, host, detail) => {
    await using peer = await httpPeer(always("ok"), { tls, host: "0.0.0.0" });
    await using client = trusting();
    for (let at = 0; at < 3; at++)
      expect(await failed(client, `https://${host}:${peer.port}/`)).toMatchObject({
        code: "tls",
        message: NOT_OK,
        detail,
      });
    expect(peer.received).toHaveLength(0);
  });

  test("so it is where the environment tells Node to take any", async () => {
    await using peer = await httpPeer(always(), { tls: expired });
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    try {
      await using client = trusting();
      expect(await failed(client, `https://localhost:${peer.port}/`)).toMatchObject({ code: "tls", message: NOT_OK });
    } finally {
      vi.unstubAllEnvs();
    }
    expect(peer.received).toHaveLength(0);
  });

  test("so is one of another host after a good connection to the right one, in TLS 1.2 too", async () => {
    await using peer = await httpPeer(always("ok"), { tls: { ...good, maxVersion: "TLSv1.2" } });
    await using client = trusting();
    await answered(client, `https://localhost:${peer.port}/`);
    for (let at = 0; at < 2; at++)
      expect(await failed(client, `https://other.test:${peer.port}/`)).toMatchObject({ code: "tls", message: NOT_OK });
  });

  test("sessions are taken up again", async () => {
    const reused: boolean[] = [];
    await using peer = await httpPeer(always("ok", ["Connection: close"]), {
      tls: good,
      accepted: (socket) => reused.push((socket as TLSSocket).isSessionReused()),
    });
    await using client = trusting();
    for (let at = 0; at < 3; at++) await answered(client, `https://localhost:${peer.port}/`);
    expect(reused).toEqual([false, true, true]);
  });

  test("to a port that speaks no TLS", async () => {
    await using peer = await httpPeer(() => {}, { accepted: (socket) => socket.write(response("plain")) });
    await using client = trusting();
    expect(await failed(client, `https://localhost:${peer.port}/`)).toMatchObject({
      code: "tls",
      message: "SSL connect error",
      maybeReceived: false,
    });
  });

  test.each(["closed", "reset"])("%s in the handshake", async (how) => {
    await using peer = await httpPeer(() => {}, {
      accepted: (socket) => socket.once("data", () => (how === "closed" ? socket.end() : socket.resetAndDestroy())),
    });
    await using client = trusting();
    expect(await failed(client, `https://localhost:${peer.port}/`)).toMatchObject({
      code: "tls",
      message: "SSL connect error",
      maybeReceived: false,
    });
  });

  test("P6: to a server that would choose the prime of Diffie-Hellman, as large as it likes", async () => {
    const rsa = { key: file("rsa.key"), cert: file("rsa.pem"), maxVersion: "TLSv1.2" } as const;
    await using client = testClient({ trustedCertificates: [rsa.cert] });
    await using other = await httpPeer(always("ok"), { tls: { ...rsa, ciphers: "ECDHE-RSA-AES128-GCM-SHA256" } });
    expect(await answered(client, `https://127.0.0.1:${other.port}/`)).toMatchObject({ status: 200 });
    const chosen = { ...rsa, ciphers: "DHE-RSA-AES128-GCM-SHA256", dhparam: "auto" } as const;
    await using peer = await httpPeer(always("ok"), { tls: chosen });
    expect(await failed(client, `https://127.0.0.1:${peer.port}/`)).toMatchObject({
      code: "tls",
      message: "SSL connect error",
      maybeReceived: false,
    });
  });

  test("to a server that knows only versions given up", async () => {
    await using peer = await httpPeer(always(), {
      tls: { ...good, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
    });
    await using client = trusting();
    expect(await failed(client, `https://localhost:${peer.port}/`)).toMatchObject({
      code: "tls",
      message: "SSL connect error",
    });
  });

  test("cut in the content, with and without a farewell", async () => {
    await using peer = await httpPeer(
      (socket, { head }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", () => {
          if (head.includes("/farewell")) socket.end();
          else socket.destroy();
        });
      },
      { tls: good },
    );
    await using client = trusting();
    for (const path of ["farewell", "none"])
      expect(await failed(client, `https://localhost:${peer.port}/${path}`)).toMatchObject({
        code: "bad_reply",
        message: "Transferred a partial file",
      });
  });

  test("plain HTTP to a port that speaks TLS", async () => {
    await using peer = await httpPeer(always(), { tls: good });
    await using client = trusting();
    const outcome = await failed(client, `http://localhost:${peer.port}/`);
    expect(outcome.maybeReceived).toBe(true);
    expect(["bad_reply", "empty_reply"]).toContain(outcome.code);
  });

  test("a redirect from https to http drops the credentials", async () => {
    await using plain = await httpPeer(always("ok"));
    const location = `Location: http://localhost:${plain.port}/`;
    await using peer = await httpPeer(always("", [location], "302 Found"), { tls: good });
    await using client = trusting();
    await answered(client, `https://localhost:${peer.port}/`, { headers: [["Authorization", "Bearer x"]] });
    expect(plain.received[0]?.head).not.toMatch(/^authorization/im);
  });
});
