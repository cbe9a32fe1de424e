import type { Socket } from "node:net";
import { expect } from "vitest";
import { eventually } from "../eventually.ts";
import { PLAIN_ROW, insertRows } from "../fuzz-row.ts";
import { type RequestParts, always, answered, failed, httpPeer, response, testClient } from "../http-peer.ts";
import { type Cases, headOf } from "./cases.ts";

/** Expects that such a request is an error, and that not a byte of it is sent. */
async function expectUnsent(parts: RequestParts): Promise<void> {
  await using peer = await httpPeer(always("ok"));
  await using client = testClient();
  const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, parts);
  expect(outcome).toMatchObject({ code: "bad_request", maybeReceived: false });
  expect(peer.connections).toBe(0);
}

const INJECTED = ["websocket\r\nX-Injected: 1", "a\n\nGET /smuggled HTTP/1.1\n\n", "a\rX-Injected: 1", "a\u0000b"];

/** Attempts to have one request, or one answer, taken for two. */
export const messageCases: Cases<
  "CVE-2026-1525" | "CVE-2026-1527" | "CVE-2023-23936" | "CVE-2023-49082" | "CVE-2026-6733" | "CVE-2025-22871"
> = {
  "CVE-2026-1525": async () => {
    await using peer = await httpPeer(always("ok"));
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/`, {
      method: "POST",
      body: Buffer.from("four"),
      headers: [
        ["Content-Length", "1"],
        ["content-length", "100"],
        ["CONTENT-LENGTH", "4"],
        ["Transfer-Encoding", "chunked"],
      ],
    });
    expect(headOf(peer, 0).match(/^(content-length|transfer-encoding):.*$/gim)).toEqual(["content-length: 4"]);
    expect(peer.received[0]?.body.toString()).toBe("four");
    expect(peer.received).toHaveLength(1);
  },

  "CVE-2026-1527": async () => {
    for (const value of INJECTED) await expectUnsent({ headers: [["Upgrade", value]] });
    await using peer = await httpPeer(always("ok"));
    await using client = testClient();
    await answered(client, `http://127.0.0.1:${peer.port}/`, {
      headers: [
        ["Upgrade", "websocket"],
        ["Connection", "upgrade"],
      ],
    });
    expect(headOf(peer, 0)).not.toMatch(/upgrade/i);
  },

  "CVE-2023-23936": async () => {
    for (const value of INJECTED) await expectUnsent({ headers: [["Host", value]] });
  },

  "CVE-2023-49082": async ({ db }) => {
    const methods = ["GET / HTTP/1.1\r\nX-Injected: 1\r\n\r\n", "GET\n", "CONNECT", "TRACE", "GET ", "G\u0130T"];
    for (const method of methods) {
      await expectUnsent({ method });
      const inserted = insertRows(db, [{ ...PLAIN_ROW, method, url: "http://127.0.0.1:9/" }], ["-49082"]);
      await expect(inserted).rejects.toMatchObject({ code: "23514" });
    }
  },

  "CVE-2026-6733": async () => {
    const poison = response("poison", ["X-Poison: 1"]);
    for (const isAtOnce of [true, false]) {
      const answer = (socket: Socket): void => {
        if (isAtOnce) socket.write(Buffer.concat([response("ok"), poison]));
        else socket.write(response("ok"));
      };
      let open: Socket | undefined;
      await using peer = await httpPeer(answer, { accepted: (socket) => (open = socket) });
      await using client = testClient({ connectionsPerOrigin: 1 });
      const url = `http://127.0.0.1:${peer.port}/`;
      expect((await answered(client, url)).content.toString()).toBe("ok");
      if (!isAtOnce) open?.write(poison);
      await eventually(() => peer.open === 0);
      expect((await answered(client, url)).content.toString()).toBe("ok");
      expect(peer.connections).toBe(2);
    }
  },

  "CVE-2025-22871": async () => {
    const bodies = [
      "5\nhello\r\n0\r\n\r\n",
      "5;a\nhello\r\n0\r\n\r\n",
      "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello\r\n0\n\r\n",
    ];
    for (const body of bodies) {
      let asked = 0;
      await using peer = await httpPeer((socket) => {
        asked += 1;
        socket.write(asked === 1 ? `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}` : response("next"));
      });
      await using client = testClient({ connectionsPerOrigin: 1 });
      const url = `http://127.0.0.1:${peer.port}/`;
      expect(await failed(client, url, { method: "POST" })).toMatchObject({ code: "bad_reply" });
      expect((await answered(client, url)).content.toString()).toBe("next");
      expect(peer.connections).toBe(2);
    }
  },
};
