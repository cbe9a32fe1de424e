import { type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { allowDescriptors } from "../support/descriptors.ts";
import { eventually } from "../support/eventually.ts";
import { failed, httpPeer, requestOf, response, testClient } from "../support/http-peer.ts";
import { testDatabase } from "../support/postgres.ts";

describe.skipIf(process.platform !== "linux")("while this process has no file descriptor left", () => {
  test("P2: requests wait in the outbox, all their tries kept, and those over open connections go on", async () => {
    await using db = await testDatabase();
    await using daemon = await startDaemon({ databaseUrl: db.url });
    await daemon.live();
    let isHeld = true;
    const held: Socket[] = [];
    await using peer = await httpPeer(
      (socket, { head }) => {
        if (isHeld && head.includes("/held/")) held.push(socket);
        else socket.write(response("ok"));
      },
      { host: "0.0.0.0" },
    );
    const answers = async (path: string): Promise<readonly { readonly error_msg: string | null }[]> =>
      db.query("select error_msg from net._http_response join net.http_response_detail using (id) where url like $1", [
        `%${path}%`,
      ]);
    const keep = (at: number): Promise<unknown> =>
      db.query("select net.http_get($1)", [`http://127.0.0.1:${peer.port}/kept/${at}`]);
    await keep(0);
    await eventually(async () => (await answers("/kept/")).length === 1);

    await allowDescriptors(daemon.pid, 12);
    await db.query(
      "select net.http_post(format('http://127.0.1.%s:%s/held/%s', g, $1::int, g), timeout_milliseconds := 60000) from generate_series(1, 60) g",
      [peer.port],
    );
    await eventually(() => daemon.events().some(({ cause }) => cause === "EMFILE"), 20_000);
    for (let at = 1; at <= 20; at++) {
      await keep(at);
      await eventually(async () => (await answers("/kept/")).length === at + 1, 20_000);
    }
    const waiting = await db.query<{ attempts: number }>("select attempts from net.http_request_queue");
    expect(waiting.map(({ attempts }) => attempts)).toEqual(Array(60).fill(0));
    expect(held.length).toBeLessThan(60);

    await allowDescriptors(daemon.pid, 1_000);
    isHeld = false;
    for (const socket of held) socket.write(response("ok"));
    await eventually(async () => (await answers("/held/")).length === 60, 60_000);
    expect((await answers("/")).filter(({ error_msg: error }) => error !== null)).toEqual([]);
    const sent = peer.received.map(({ head }) => /\/held\/\d+/.exec(head)?.[0]).filter((path) => path !== undefined);
    expect([sent.length, new Set(sent).size]).toEqual([60, 60]);
    const lines = daemon.events().filter(({ cause }) => cause === "EMFILE");
    expect(lines).toMatchObject([{ level: "error", hint: expect.stringContaining("ulimit -n") as unknown }]);
  });
});

/** A connection that could not be made for want of something on this machine, in the system's words. */
function lacking(code: string): Error {
  return Object.assign(new Error(code), { code, address: "127.0.0.1" });
}

describe("a redirect that cannot be followed for want of something", () => {
  test("is followed when it is there, so that what was sent is not sent twice", async () => {
    await using other = await httpPeer((socket) => socket.write(response("there")));
    await using peer = await httpPeer((socket) =>
      socket.write(response("", [`Location: http://other.test:${other.port}/`], "307 There")),
    );
    let asked = 0;
    await using client = testClient({
      resolve: (_name, resolved) => {
        const error = asked++ < 2 ? lacking("EMFILE") : null;
        setImmediate(resolved, error, error === null ? [{ address: "127.0.0.1", family: 4 }] : []);
      },
    });
    const request = requestOf(`http://127.0.0.1:${peer.port}/`, { method: "POST", body: Buffer.from("{}") });
    expect(await client.send(request, { idempotencyKey: null })).toMatchObject({ kind: "answered", status: 200 });
    expect([peer.received.length, other.received.length, asked]).toEqual([1, 1, 3]);
  });

  test("ends in time, where it never is there", async () => {
    await using peer = await httpPeer((socket) =>
      socket.write(response("", ["Location: http://other.test/"], "307 There")),
    );
    await using client = testClient({ resolve: (_name, resolved) => setImmediate(resolved, lacking("EMFILE"), []) });
    const outcome = await failed(client, `http://127.0.0.1:${peer.port}/`, { timeoutMs: 600 });
    expect(outcome).toMatchObject({ code: "timeout", maybeReceived: true });
    expect(peer.received).toHaveLength(1);
  });
});
