import { once } from "node:events";
import { type Server, type Socket, createServer as createTcpServer } from "node:net";
import { type TlsOptions, createServer as createTlsServer } from "node:tls";
import { type HttpClient, type HttpClientOptions, openHttpClient } from "../../src/http/client.ts";
import { type Answered, type Failed, type Outcome } from "../../src/http/outcome.ts";
import { type Request, type RequestOptions } from "../../src/outbox/request.ts";

/** One request as it came over the wire. */
export interface Received {
  /** Request line and headers, as they were written, without the empty line. */
  readonly head: string;
  readonly body: Buffer;
  /** 1 for the peer's first connection. */
  readonly connection: number;
}

/** A server made of bare sockets: what it answers, byte for byte, is the test's. */
export interface HttpPeer extends AsyncDisposable {
  readonly port: number;
  readonly received: readonly Received[];
  /** Connections accepted so far. */
  readonly connections: number;
  /** Connections open now. */
  readonly open: number;
}

export interface HttpPeerOptions {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly tls?: TlsOptions;
  /** Called at once for each connection. */
  readonly accepted?: (socket: Socket, connection: number) => void;
}

/** Listens; calls `answer` for each whole request. */
export async function httpPeer(
  answer: (socket: Socket, received: Received) => void,
  options: HttpPeerOptions = {},
): Promise<HttpPeer> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const accept = (socket: Socket): void => {
    const connection = ++connections;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const whole = requestReader();
    socket.on("data", (chunk) => {
      for (const one of whole(Buffer.from(chunk))) {
        const request = { ...one, connection };
        received.push(request);
        answer(socket, request);
      }
    });
    options.accepted?.(socket, connection);
  };
  const server: Server =
    options.tls === undefined
      ? createTcpServer(accept)
      : createTlsServer(options.tls, accept).on("tlsClientError", () => {});
  server.listen(options.port ?? 0, options.host ?? "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    received,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Cuts what comes over one connection into requests, in a time that grows with its length alone. */
function requestReader(): (chunk: Buffer) => Omit<Received, "connection">[] {
  let chunks: Buffer[] = [];
  let length = 0;
  let needed = 0;
  return (chunk) => {
    const whole: Omit<Received, "connection">[] = [];
    chunks.push(chunk);
    length += chunk.length;
    while (length > 0 && length >= needed) {
      const bytes = Buffer.concat(chunks);
      const end = bytes.indexOf("\r\n\r\n");
      const head = bytes.toString("latin1", 0, Math.max(0, end));
      const start = end + 4;
      const after = start + Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      const isWhole = end !== -1 && length >= after;
      if (isWhole) whole.push({ head, body: bytes.subarray(start, after) });
      const rest = isWhole ? bytes.subarray(after) : bytes;
      chunks = [rest];
      length = rest.length;
      needed = end === -1 || isWhole ? 0 : after;
      if (!isWhole) break;
    }
    return whole;
  };
}

/** A whole response with a content of known length. */
export function response(content: string | Buffer = "", headers: readonly string[] = [], status = "200 OK"): Buffer {
  const body = Buffer.from(content);
  const head = [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${body.length}`, "", ""].join("\r\n");
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** Answers every request with the same response. */
export function always(...content: Parameters<typeof response>): (socket: Socket) => void {
  return (socket) => socket.write(response(...content));
}

/** A client that may connect to this machine. */
export function testClient(options: Partial<HttpClientOptions> = {}): HttpClient {
  return openHttpClient({
    userAgent: "pg_net/0.0.0 (pgnetd)",
    connectionsPerOrigin: 4,
    maxResponseBytes: 100_000,
    allowNetworks: ["127.0.0.0/8", "::1"],
    ...options,
  });
}

/** Parts of a request that a test cares about. */
export interface RequestParts extends Partial<Omit<Request, "options" | "url">> {
  readonly maxRedirects?: RequestOptions["maxRedirects"];
}

/** A request as the outbox would have it, GET with five seconds unless `parts` say otherwise. */
export function requestOf(url: string, { maxRedirects = 5, ...parts }: RequestParts = {}): Request {
  return {
    id: 1n,
    method: "GET",
    url,
    headers: [],
    body: null,
    timeoutMs: 5_000,
    created: "2026-11-21 09:20:32+00",
    attempts: 0,
    bytes: 0,
    options: { maxAttempts: 1, retryFirstMs: 1_000, retryMaxMs: 1_000, maxRedirects, keep: "all" },
    ...parts,
  };
}

const NO_HEADERS = { idempotencyKey: null };

/** Sends and expects an answer. */
export async function answered(client: HttpClient, url: string, parts?: RequestParts): Promise<Answered> {
  const outcome = await client.send(requestOf(url, parts), NO_HEADERS);
  if (outcome.kind === "failed")
    throw new Error(`failed: ${outcome.code}: ${outcome.message} (${outcome.detail ?? ""})`);
  return outcome;
}

/** Sends and expects a failure. */
export async function failed(
  client: HttpClient,
  url: string,
  parts?: RequestParts,
  kill?: AbortSignal,
): Promise<Failed> {
  const outcome: Outcome = await client.send(requestOf(url, parts), NO_HEADERS, kill);
  if (outcome.kind === "answered") throw new Error(`answered: ${outcome.status}`);
  return outcome;
}
