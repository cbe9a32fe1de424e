import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { Socket } from "node:net";
import { expect } from "vitest";
import { eventually } from "../eventually.ts";
import { always, answered, failed, httpPeer, response, testClient } from "../http-peer.ts";
import { liveBytes } from "../live-heap.ts";
import { type Cases, headOf, names, redirect } from "./cases.ts";

const MIB = 1024 * 1024;
const tls = (name: string): string => readFileSync(new URL(`../tls/${name}`, import.meta.url), "utf8");
const serverTls = { key: tls("server.key"), cert: tls("server.pem") };

/** How a request to a server that answers with this content ends, at a bound of 1 MiB. */
async function endOf(content: Buffer, encoding: string): Promise<unknown> {
  await using peer = await httpPeer(always(content, [`Content-Encoding: ${encoding}`]));
  await using client = testClient({ maxResponseBytes: MIB });
  return await failed(client, `http://127.0.0.1:${peer.port}/`);
}

/** Writes without end, as fast as the client reads. */
function pour(socket: Socket, piece: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on("drain", more);
  more();
}

/** Attempts to use up memory or time of the client. */
export const resourceCases: Cases<
  | "CVE-2026-22036"
  | "CVE-2026-84890"
  | "CVE-2024-22025"
  | "CVE-2026-21441"
  | "CVE-2023-38039"
  | "CVE-2023-39326"
  | "CVE-2025-47279"
  | "CVE-2025-58754"
  | "CVE-2023-24807"
  | "CVE-2025-27820"
> = {
  // Each coding is there: undone as asked, they are content.
  "CVE-2026-22036": async () => {
    for (const times of [6, 200]) {
      let content = Buffer.from("x");
      for (let at = 0; at < times; at += 1) content = gzipSync(content);
      const encoding = Array.from({ length: times }, () => "gzip").join(",");
      expect(await endOf(content, encoding)).toMatchObject({ code: "bad_reply" });
    }
  },

  "CVE-2026-84890": async () => {
    expect(await endOf(gzipSync(Buffer.alloc(50 * MIB)), "gzip")).toMatchObject({ code: "too_large" });
    expect(await endOf(gzipSync(gzipSync(Buffer.alloc(50 * MIB))), "gzip, gzip")).toMatchObject({ code: "too_large" });
  },

  "CVE-2024-22025": async () => {
    expect(await endOf(brotliCompressSync(Buffer.alloc(50 * MIB)), "br")).toMatchObject({ code: "too_large" });
  },

  // Decompressed, the first content would be too large, and the second malformed.
  "CVE-2026-21441": async () => {
    for (const content of [gzipSync(Buffer.alloc(50 * MIB)), Buffer.from("no gzip")]) {
      await using peer = await httpPeer((socket, { head }) => {
        if (head.startsWith("GET /end")) socket.write(response("ok"));
        else socket.write(response(content, ["Location: /end", "Content-Encoding: gzip"], "302 Found"));
      });
      await using client = testClient({ maxResponseBytes: MIB });
      expect((await answered(client, `http://127.0.0.1:${peer.port}/`)).content.toString()).toBe("ok");
    }
  },

  "CVE-2023-38039": async () => {
    await using peer = await httpPeer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, Buffer.from(`X-A: ${"a".repeat(1_000)}\r\n`.repeat(16)));
    });
    await using client = testClient();
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({ code: "too_large" });
    await eventually(() => peer.open === 0);
  },

  "CVE-2023-39326": async () => {
    const before = await liveBytes();
    const floods = ["1;" + "e".repeat(10_000) + "\r\nx\r\n", "e".repeat(10_000)];
    for (const flood of floods) {
      let poured = 0;
      await using peer = await httpPeer((socket) => {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;");
        pour(socket, Buffer.from(flood));
        socket.once("close", () => (poured += socket.bytesWritten));
      });
      await using client = testClient();
      const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 700 });
      expect(["timeout", "bad_reply", "too_large"]).toContain(outcome.code);
      expect((await liveBytes()) - before).toBeLessThan(16 * MIB);
      await eventually(() => peer.open === 0);
      expect(poured).toBeGreaterThan(0);
    }
  },

  "CVE-2025-47279": async () => {
    await using peer = await httpPeer(always("ok"), { tls: serverTls });
    await using client = testClient();
    const url = `https://localhost:${peer.port}/`;
    const times = 150;
    const fail = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at += 1) expect(await failed(client, url)).toMatchObject({ code: "tls" });
    };
    await fail(30);
    const before = await liveBytes();
    await fail(times);
    await eventually(() => peer.open === 0);
    // What could be left of each is its socket, its TLS state and its error.
    expect(((await liveBytes()) - before) / times).toBeLessThan(4_096);
  },

  "CVE-2025-58754": async () => {
    await using client = testClient();
    const data = `data:text/plain,${"x".repeat(5 * MIB)}`;
    expect(await failed(client, data)).toMatchObject({ code: "bad_request", message: "Unsupported protocol" });
    await using peer = await httpPeer((socket) => socket.write(redirect("data:text/plain,x")));
    expect(await failed(client, `http://127.0.0.1:${peer.port}/`)).toMatchObject({ code: "redirects" });
  },

  "CVE-2023-24807": async () => {
    await using peer = await httpPeer(always("ok"));
    await using client = testClient();
    const value = `a${"\t ".repeat(30_000)}a`;
    const startedAt = performance.now();
    await answered(client, `http://127.0.0.1:${peer.port}/`, { headers: [["X-White", value]] });
    // In quadratic time it would be minutes.
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    expect(headOf(peer, 0)).toContain(value);
  },

  "CVE-2025-27820": async () => {
    await using peer = await httpPeer(always("ok"), { tls: serverTls });
    const resolve = names({ localhost: [["127.0.0.1"]], "other.test": [["127.0.0.1"]] });
    await using client = testClient({ trustedCertificates: [tls("ca.pem")], resolve });
    const other = `https://other.test:${peer.port}/`;
    expect(await failed(client, other)).toMatchObject({ code: "tls", detail: "ERR_TLS_CERT_ALTNAME_INVALID" });
    await answered(client, `https://localhost:${peer.port}/`);
    expect(await failed(client, other)).toMatchObject({ code: "tls", detail: "ERR_TLS_CERT_ALTNAME_INVALID" });
    expect(peer.received).toHaveLength(1);
  },
};
