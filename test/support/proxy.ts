import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy that can fall silent. Put between a client and a server that must not notice each other's end. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Connections open now. */
  readonly open: number;
  /** `url` with the proxy's host and port in place of its own. */
  through(url: string): string;
  /**
   * Half-open: from now on nothing passes, in either direction, and nothing is refused or ended; also an end of one side
   * stays unknown to the other. New connections are accepted and stay silent.
   */
  pause(): void;
  /**
   * After `pause`: what the server has sent passes, what the client has sent does not, as when TCP sends again on one side first.
   */
  deliver(): void;
  /** Everything held back passes, ends included. */
  resume(): void;
  /** Resets every connection, on both sides. */
  cut(): void;
  /** While true, new connections are reset at once. */
  refuse(refusing: boolean): void;
  /** New connections go to the server at `target`; those there are stay as they are. */
  retarget(target: string): void;
}

/** Starts a proxy on a loopback port in front of the server at `target` (`host:port` or any URL with both). */
export async function startProxy(target: string): Promise<Proxy> {
  let { hostname, port } = addressOf(target);
  const pairs = new Set<Pair>();
  let paused = false;
  let refusing = false;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const pair = new Pair(client, hostname, Number(port), () => pairs.delete(pair));
    pairs.add(pair);
    if (!paused) pair.resume();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const own = (server.address() as AddressInfo).port;
  return {
    port: own,
    get open() {
      return pairs.size;
    },
    through(url) {
      const changed = new URL(url);
      changed.hostname = "127.0.0.1";
      changed.port = String(own);
      return changed.href;
    },
    pause() {
      paused = true;
      for (const pair of pairs) pair.pause();
    },
    deliver() {
      for (const pair of pairs) pair.deliver();
    },
    resume() {
      paused = false;
      for (const pair of pairs) pair.resume();
    },
    cut() {
      for (const pair of pairs) pair.cut();
    },
    refuse(value) {
      refusing = value;
    },
    retarget(other) {
      ({ hostname, port } = addressOf(other));
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const pair of pairs) pair.cut();
      await closed;
    },
  };
}

function addressOf(target: string): URL {
  return new URL(target.includes("://") ? target : `tcp://${target}`);
}

/** One client and its connection to the server, made on the first `resume`. */
class Pair {
  readonly #client: Socket;
  readonly #host: string;
  readonly #port: number;
  readonly #gone: () => void;
  #server: Socket | null = null;
  #paused = true;
  /** Sides whose end has still to be passed to the other. */
  readonly #ended = new Set<Socket>();

  constructor(client: Socket, host: string, port: number, gone: () => void) {
    this.#client = client;
    this.#host = host;
    this.#port = port;
    this.#gone = gone;
    client.on("error", () => undefined);
    client.on("close", () => this.#onClose(client));
  }

  pause(): void {
    this.#paused = true;
    this.#client.pause();
    this.#server?.pause();
  }

  deliver(): void {
    this.#server?.resume();
  }

  resume(): void {
    this.#paused = false;
    this.#server ??= this.#reach();
    this.#client.resume();
    this.#server.resume();
    if (this.#ended.size > 0) this.cut();
  }

  cut(): void {
    this.#paused = false;
    this.#client.resetAndDestroy();
    this.#server?.resetAndDestroy();
    this.#gone();
  }

  #reach(): Socket {
    const server = connect({ host: this.#host, port: this.#port, allowHalfOpen: true, noDelay: true });
    server.on("error", () => undefined);
    server.on("close", () => this.#onClose(server));
    this.#client.setNoDelay(true);
    this.#forward(this.#client, server);
    this.#forward(server, this.#client);
    return server;
  }

  #forward(from: Socket, to: Socket): void {
    from.on("data", (chunk) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => {
        if (!this.#paused) from.resume();
      });
    });
    from.on("end", () => to.end());
  }

  #onClose(side: Socket): void {
    this.#ended.add(side);
    if (!this.#paused) this.cut();
  }
}
