import { readFileSync } from "node:fs";
import { type Socket } from "node:net";
import tlsModule, { type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type HttpClient } from "../../src/http/client.ts";
import { eventually } from "../support/eventually.ts";
import { answered, failed, httpPeer, response, testClient } from "../support/http-peer.ts";
import { type RecordWriter, tlsRecordPeer } from "../support/tls-records.ts";

const file = (name: string): string => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const identity = { key: file("server.key"), cert: file("server.pem") };
const client = (): HttpClient => testClient({ trustedCertificates: [file("ca.pem")], keepAliveMs: 120_000 });
const REFUSED = { code: "too_large", message: "A value or data field grew larger than allowed", maybeReceived: true };

/** Writes what `next` gives until the connection has ended, some kilobytes in each turn, and what the other side takes. */
function flood(beneath: Socket, next: () => Buffer): void {
  const more = (): void => {
    if (beneath.destroyed) return;
    if (beneath.write(Buffer.concat(Array.from({ length: 256 }, next)))) setImmediate(more);
    else beneath.once("drain", more);
  };
  more();
}

describe("P6: a connection over TLS is closed over which there come without end", () => {
  test.each([
    ["session tickets", (records: RecordWriter) => records.ticket()],
    ["changes of keys, whose answers nobody reads", (records: RecordWriter) => records.keyUpdate()],
  ])("%s", async (_what, next) => {
    let ended = 0;
    await using peer = await tlsRecordPeer(identity, (beneath, records) => {
      beneath.once("close", () => ended++);
      beneath.pause();
      flood(beneath, () => next(records));
    });
    await using sender = client();
    expect(await failed(sender, `https://127.0.0.1:${peer.port}/`, { timeoutMs: 60_000 })).toMatchObject(REFUSED);
    await eventually(() => ended === 1);
  });

  test("requests for a handshake, before the first is done", async () => {
    const record = Buffer.concat([Buffer.from([22, 3, 3, 64, 0]), Buffer.alloc(16_384)]);
    await using peer = await httpPeer(() => undefined, { accepted: (socket) => flood(socket.pause(), () => record) });
    await using sender = client();
    const outcome = await failed(sender, `https://127.0.0.1:${peer.port}/`, { timeoutMs: 20_000 });
    expect(outcome).toMatchObject({ code: "tls", message: "SSL connect error", maybeReceived: false });
    await eventually(() => peer.open === 0);
  });

  test("changes of keys, while it is idle", async () => {
    let ended = 0;
    await using peer = await tlsRecordPeer(identity, (beneath, records) => {
      beneath.once("close", () => ended++);
      beneath.write(records.content(response("ok").toString()));
      beneath.pause();
      flood(beneath, () => records.keyUpdate());
    });
    await using sender = client();
    expect(await answered(sender, `https://127.0.0.1:${peer.port}/`)).toMatchObject({ status: 200 });
    await eventually(() => ended === 1);
  });
});

describe("handshakes of TLS 1.2 after the first", () => {
  const allowed = tlsModule.CLIENT_RENEG_LIMIT;
  // A server of Node would end a connection itself: it takes those that it has asked for for the client's.
  beforeAll(() => void Object.assign(tlsModule, { CLIENT_RENEG_LIMIT: 100_000 }));
  afterAll(() => void Object.assign(tlsModule, { CLIENT_RENEG_LIMIT: allowed }));

  /** Answers after so many handshakes. */
  const renegotiating = (times: number) => {
    const asked: number[] = [];
    const answer = (socket: Socket): void => {
      const again = (left: number): void => {
        if (socket.destroyed) return;
        if (left === 0) socket.write(response("ok"));
        else
          (socket as TLSSocket).renegotiate({}, (error) => {
            asked.push(times - left + 1);
            if (error === null) setImmediate(again, left - 1);
          });
      };
      again(times);
    };
    return { asked, answer, options: { tls: { ...identity, maxVersion: "TLSv1.2" } as const } };
  };

  test("are done where a server asks for a few", async () => {
    const { answer, options } = renegotiating(3);
    await using peer = await httpPeer(answer, options);
    await using sender = client();
    expect(await answered(sender, `https://127.0.0.1:${peer.port}/`)).toMatchObject({ status: 200 });
  });

  test("P6: end the connection where it asks without end", async () => {
    const { answer, asked, options } = renegotiating(100_000);
    await using peer = await httpPeer(answer, options);
    await using sender = client();
    expect(await failed(sender, `https://127.0.0.1:${peer.port}/`, { timeoutMs: 20_000 })).toMatchObject(REFUSED);
    expect(asked.length).toBeLessThanOrEqual(18);
  });
});

test("a few session tickets and changes of keys, and content of single bytes, are received", async () => {
  await using peer = await tlsRecordPeer(identity, (beneath, records) => {
    const text = response("x".repeat(8_000)).toString();
    const first = Array.from(text.slice(0, 100), (byte) => records.content(byte));
    const others = Array.from({ length: 4 }, () => [records.ticket(), records.keyUpdate()]).flat();
    const rest = Array.from(text.slice(100), (byte) => records.content(byte));
    beneath.write(Buffer.concat([...first, ...others, ...rest]));
  });
  await using sender = client();
  expect((await answered(sender, `https://127.0.0.1:${peer.port}/`)).content).toHaveLength(8_000);
});
