import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Proxy, startProxy } from "./proxy.ts";

/** What a connection to PostgreSQL is for. */
export type Traffic = "replication" | "sql";

/** The way to a PostgreSQL, apart for the replication connection and for all others. */
export interface FaultNetwork extends AsyncDisposable {
  /** The server's URL, by this way. */
  readonly url: string;
  /** Half-open: the connections there are fall silent in both directions, and nothing is ended; new ones pass. */
  freeze(traffic: Traffic): void;
  /** As `freeze`, and new connections are accepted and stay silent, too. */
  cutOff(traffic: Traffic): void;
  /** From the server at most this many bytes per second pass, on connections made from now on. */
  limit(traffic: Traffic, bytesPerSecond: number): void;
  /** What was held back by `cutOff` passes. */
  restore(traffic: Traffic): void;
  /** Resets the connections there are; new ones pass. */
  cut(traffic: Traffic): void;
}

/** Opens a way to the server at `url`. */
export async function startNetwork(url: string): Promise<FaultNetwork> {
  await using made = new AsyncDisposableStack();
  const open = async (): Promise<Proxy> => made.use(await startProxy(url));
  const ways: Record<Traffic, Proxy> = { replication: await open(), sql: await open() };
  const limits: Record<Traffic, number> = { replication: Infinity, sql: Infinity };
  // Freezing must not wait: the next ways are there before.
  const spare = await Promise.all([open(), open(), open(), open()]);
  const sockets = new Set<Socket>();
  const front = createServer({ allowHalfOpen: true }, (client) => {
    sockets.add(client);
    client.on("error", () => undefined);
    client.on("close", () => sockets.delete(client));
    // The startup packet says what the connection is for.
    client.once("data", (startup) => {
      const traffic = startup.includes("replication\0database") ? "replication" : "sql";
      const { port } = ways[traffic];
      const behind = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
      behind.write(startup);
      join(client, behind, limits[traffic]);
    });
  });
  await new Promise<void>((resolve, reject) => {
    front.once("error", reject);
    front.listen(0, "127.0.0.1", resolve);
  });
  made.defer(async () => {
    const closed = new Promise((resolve) => front.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const own = new URL(url);
  own.hostname = "127.0.0.1";
  own.port = String((front.address() as AddressInfo).port);
  const all = made.move();
  return {
    url: own.href,
    freeze(traffic) {
      ways[traffic].pause();
      const next = spare.pop();
      if (next === undefined) throw new RangeError("there is no way left");
      ways[traffic] = next;
    },
    cutOff(traffic) {
      ways[traffic].pause();
    },
    limit(traffic, bytesPerSecond) {
      limits[traffic] = bytesPerSecond;
    },
    restore(traffic) {
      ways[traffic].resume();
    },
    cut(traffic) {
      ways[traffic].cut();
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Passes everything on, ends and resets included; the proxy behind decides what gets through. */
function join(client: Socket, behind: Socket, bytesPerSecond: number): void {
  client.setNoDelay(true);
  behind.on("error", () => undefined);
  client.pipe(behind);
  behind.pipe(client);
  if (bytesPerSecond !== Infinity) {
    behind.on("data", (chunk) => {
      behind.pause();
      setTimeout(() => behind.resume(), (chunk.length / bytesPerSecond) * 1_000);
    });
  }
  client.on("close", () => behind.destroy());
  behind.on("close", () => client.resetAndDestroy());
}
