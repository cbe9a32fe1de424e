import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { type Socket, connect } from "node:net";
import { expect, test } from "vitest";
import { type Health, type HealthServer, type HealthServerOptions, openHealthServer } from "../../src/ops/health.ts";
import { startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";

const HALF_A_REQUEST = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ";

function openServer(sources: Pick<HealthServerOptions, "metrics"> = {}): Promise<HealthServer> {
  const health: Health = {
    state: "live",
    ready: true,
    detail: "live",
    mode: "send",
    slot: "ok",
    positions: { current: null, received: null, confirmed: null },
    oldest: null,
    requests: { outbox: 0, queued: 0, inFlight: 0 },
    lanesBehind: 0,
    stalled: null,
  };
  return openHealthServer({ host: "127.0.0.1", port: 0, health: () => health, ...sources });
}

/** Holds `count` connections with half a request each, and opens another for each that is closed. */
class Attacker implements Disposable {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #stopped = false;
  closed = 0;

  constructor(port: number, count: number) {
    this.#port = port;
    for (let at = 0; at < count; at++) this.#open();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): void {
    if (this.#stopped) return;
    const socket = connect(this.#port, "127.0.0.1", () => socket.write(HALF_A_REQUEST));
    this.#sockets.add(socket);
    socket.on("error", () => undefined).resume();
    socket.on("close", () => {
      this.closed++;
      this.#sockets.delete(socket);
      setTimeout(() => this.#open(), 500 + Math.random() * 1_000);
    });
  }
}

test("thousands of half-sent requests use few descriptors, and a probe is answered meanwhile", async () => {
  await using daemon = await startDaemon({ databaseUrl: "postgres://u@127.0.0.1:1/d", waitUntilReady: false });
  const probe = async (): Promise<number> => (await fetch(`${daemon.address}/healthz`)).status;
  await eventually(async () => (await probe()) === 200, 20_000);
  using attacker = new Attacker(Number(new URL(daemon.address).port), 2_100);
  await expect.poll(() => attacker.closed, { timeout: 20_000 }).toBeGreaterThan(2_100);
  // Whoever probes allows for a failure or two in a row.
  let answered = 0;
  for (let at = 0; at < 40; at++) answered += (await probe().catch(() => 0)) === 200 ? 1 : 0;
  expect(answered).toBeGreaterThan(20);
  const descriptors = await readdir(`/proc/${daemon.pid}/fd`);
  expect(descriptors.length).toBeLessThan(400);
});

test.concurrent.each([
  ["half-sent headers", HALF_A_REQUEST],
  ["nothing", ""],
  ["half a body", "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"],
])("a connection with %s is closed within seconds", async (_what, bytes) => {
  await using server = await openServer();
  const socket = connect(server.port, "127.0.0.1", () => socket.write(bytes));
  socket.on("error", () => undefined).resume();
  await once(socket, "close", { signal: AbortSignal.timeout(20_000) });
  expect(socket.destroyed).toBe(true);
});

test("a probe's own connection stays while it is used", async () => {
  await using server = await openServer();
  const socket = connect(server.port, "127.0.0.1").setEncoding("latin1");
  const answers: string[] = [];
  socket.on("data", (text: string) => answers.push(text));
  for (let round = 1; round <= 3; round++) {
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await expect.poll(() => answers.length).toBe(round);
    const others = Array.from({ length: 100 }, () => connect(server.port, "127.0.0.1").on("error", () => undefined));
    await Promise.all(others.map((other) => once(other, "connect")));
    for (const other of others) other.destroy();
  }
  expect(answers.every((text) => text.startsWith("HTTP/1.1 200 "))).toBe(true);
  socket.destroy();
});

test("for a connection too many the one used longest ago is closed, not the one opened first", async () => {
  await using server = await openServer();
  const closed: string[] = [];
  const open = async (name: string): Promise<Socket> => {
    const socket = connect(server.port, "127.0.0.1").on("error", () => undefined);
    socket.once("close", () => closed.push(name)).resume();
    await once(socket, "connect");
    return socket;
  };
  const probe = async (socket: Socket): Promise<void> => {
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
  };
  const sockets = [await open("first"), await open("second")];
  for (const socket of sockets.toReversed()) await probe(socket);
  // There is room for 256.
  for (let others = 0; others < 255; others++) sockets.push(await open("other"));
  await expect.poll(() => closed.length, { timeout: 20_000 }).toBeGreaterThan(0);
  expect(closed[0]).toBe("second");
  for (const socket of sockets) socket.destroy();
});

test("a connection whose answer takes long is not closed for new ones while others are idle", async () => {
  const asked = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  const metrics = async (): Promise<{ contentType: string; text: string }> => {
    asked.resolve();
    await read.promise;
    return { contentType: "text/plain", text: "pgnetd_leader 1" };
  };
  await using server = await openServer({ metrics });
  const scrape = connect(server.port, "127.0.0.1", () => scrape.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  const answers: string[] = [];
  scrape.setEncoding("latin1").on("error", () => undefined);
  scrape.on("data", (text: string) => answers.push(text)).once("close", () => answers.push("closed"));
  await asked.promise;
  let closed = 0;
  const others = Array.from({ length: 400 }, () =>
    connect(server.port, "127.0.0.1")
      .on("error", () => undefined)
      .once("close", () => closed++)
      .resume(),
  );
  // Of 401 there is room for 256.
  await expect.poll(() => closed, { timeout: 20_000 }).toBeGreaterThanOrEqual(144);
  read.resolve();
  await expect.poll(() => answers.join(), { timeout: 20_000 }).toContain("pgnetd_leader 1");
  for (const socket of [scrape, ...others]) socket.destroy();
});
