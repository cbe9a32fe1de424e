import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { DEADLINE_MS, eventually } from "./eventually.ts";

/** One request as it came off the wire. */
export interface Received {
  /** Milliseconds since the epoch, with a fraction, when its head had arrived. */
  readonly at: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Lower-case names, as Node's parser gives them. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** What the receiver does with a request, once it has it whole; after `delayMs` (default 0) where given. */
export type Behaviour =
  | {
      readonly kind: "answer";
      /** Default 200. */
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string | string[]>>;
      /** Default `ok`. */
      readonly body?: string | Buffer;
      readonly delayMs?: number;
      /** Answers when this has resolved. */
      readonly after?: Promise<unknown>;
    }
  /** Keeps the connection open and says nothing. */
  | { readonly kind: "hang" }
  /** TCP reset, without a byte of an answer. */
  | { readonly kind: "reset"; readonly delayMs?: number }
  /** An orderly end of the connection, without a byte of an answer. */
  | { readonly kind: "close"; readonly delayMs?: number }
  /** The work is done and the answer lost: head and half of the body are written, then a TCP reset. */
  | { readonly kind: "lose"; readonly delayMs?: number }
  /** The head at once, then `chunks` pieces, one every `everyMs`. */
  | { readonly kind: "slow"; readonly chunks: number; readonly everyMs: number }
  /** These bytes and the end of the connection. */
  | { readonly kind: "raw"; readonly bytes: string | Buffer };

const OK: Behaviour = { kind: "answer" };

/** An HTTP server on a loopback port whose conduct the test sets. Answers 200 until set otherwise. */
export interface Receiver extends AsyncDisposable {
  readonly port: number;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly Received[];
  /** TCP connections accepted so far. */
  readonly connections: number;
  /** `http://127.0.0.1:port` and `path`. */
  url(path?: string): string;
  /** Decides on every request from now on. */
  behave(decide: Behaviour | ((request: Received, index: number) => Behaviour)): void;
  /** Resolves when `count` requests have come. */
  waitFor(count: number, withinMs?: number): Promise<readonly Received[]>;
  /** How often each path came. */
  countByPath(): ReadonlyMap<string, number>;
  /** Stops listening and resets every connection; `listen` takes the same port again. */
  down(): Promise<void>;
  listen(): Promise<void>;
}

/** Starts a receiver. Default host: 127.0.0.1. */
export async function startReceiver(options: { readonly host?: string } = {}): Promise<Receiver> {
  const receiver = new RecordingReceiver(options.host ?? "127.0.0.1");
  await receiver.listen();
  return receiver;
}

class RecordingReceiver implements Receiver {
  readonly requests: Received[] = [];
  connections = 0;
  readonly #host: string;
  #port = 0;
  #server: Server | null = null;
  #decide: (request: Received, index: number) => Behaviour = () => OK;

  constructor(host: string) {
    this.#host = host;
  }

  get port(): number {
    return this.#port;
  }

  url(path = "/"): string {
    const host = this.#host.includes(":") ? `[${this.#host}]` : this.#host;
    return `http://${host}:${this.#port}${path}`;
  }

  behave(decide: Behaviour | ((request: Received, index: number) => Behaviour)): void {
    this.#decide = typeof decide === "function" ? decide : () => decide;
  }

  async waitFor(count: number, withinMs = DEADLINE_MS): Promise<readonly Received[]> {
    try {
      await eventually(() => this.requests.length >= count, withinMs);
    } catch {
      throw new Error(`${this.requests.length} of ${count} requests within ${withinMs} ms`);
    }
    return this.requests;
  }

  countByPath(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { path } of this.requests) counts.set(path, (counts.get(path) ?? 0) + 1);
    return counts;
  }

  async listen(): Promise<void> {
    const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
    server.on("connection", () => (this.connections += 1));
    server.on("request", (incoming: IncomingMessage, response: ServerResponse) => {
      // A caller that hangs up in the middle is not the receiver's failure.
      this.#handle(incoming, response).catch(() => incoming.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, this.#host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async down(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = performance.timeOrigin + performance.now();
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request: Received = {
      at,
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      headers: incoming.headers,
      rawHeaders: incoming.rawHeaders,
      body: Buffer.concat(chunks),
    };
    const index = this.requests.push(request) - 1;
    await perform(this.#decide(request, index), incoming, response);
  }
}

async function perform(behaviour: Behaviour, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  if ("delayMs" in behaviour && behaviour.delayMs !== undefined) await delay(behaviour.delayMs);
  const socket = incoming.socket;
  switch (behaviour.kind) {
    case "answer":
      await behaviour.after;
      response.writeHead(behaviour.status ?? 200, {
        "Content-Type": "text/plain; charset=utf-8",
        ...behaviour.headers,
      });
      response.end(behaviour.body ?? "ok");
      return;
    case "hang":
      return;
    case "reset":
      socket.resetAndDestroy();
      return;
    case "close":
      socket.destroy();
      return;
    case "lose":
      await new Promise((resolve) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789", resolve));
      socket.resetAndDestroy();
      return;
    case "slow":
      response.writeHead(200, { "Content-Type": "text/plain" });
      response.flushHeaders();
      for (let sent = 0; sent < behaviour.chunks && !response.destroyed; sent += 1) {
        await delay(behaviour.everyMs);
        response.write("x");
      }
      response.end();
      return;
    case "raw":
      socket.end(behaviour.bytes);
      return;
  }
}
