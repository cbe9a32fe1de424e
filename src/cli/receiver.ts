import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PgnetdError, toError } from "../base/errors.ts";
import { stopped } from "../base/loops.ts";
import type { CommandContext } from "./context.ts";

/** One request as the receiver got it. */
export interface Arrival {
  readonly at: Date;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A small HTTP server to try requests on. Closing it ends its connections. */
export interface HttpReceiver extends AsyncDisposable {
  /** `http://host:port`. */
  readonly address: string;
}

/** Where the receiver listens, and who is notified of each request. */
export interface ReceiverOptions {
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default 0: one that is free. */
  readonly port?: number | undefined;
  readonly onRequest: (arrival: Arrival) => void;
}

/** Bodies are shown up to here. */
const MAX_BODY_BYTES = 64 * 1024;
const SHOWN_CHARACTERS = 1_000;
const DEFAULT_PORT = 8080;

/**
 * Opens a receiver that answers 200 with a small JSON object; `/status/404` answers 404, `/delay/2000` answers after that
 * many milliseconds, and `/healthz` is answered without a notification.
 */
export async function openReceiver(options: ReceiverOptions): Promise<HttpReceiver> {
  const server = createServer((request, response) => {
    answer(request, response, options.onRequest).catch(() => request.destroy());
  });
  const host = options.host ?? "127.0.0.1";
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, host, resolve);
  }).catch((error: unknown) => {
    throw new PgnetdError("LISTEN_FAILED", `the receiver cannot listen on ${host}: ${toError(error).message}`, {
      hint: "Choose another --port or --host.",
    });
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What `pgnetd receiver` takes. */
export interface ReceiverFlags {
  readonly host?: string;
  readonly port?: number;
}

/** `pgnetd receiver`: prints a line for each request until `stop` fires. */
export async function receive(
  { host, port = DEFAULT_PORT }: ReceiverFlags,
  { print, stop }: CommandContext,
): Promise<void> {
  await using receiver = await openReceiver({ host, port, onRequest: (arrival) => print(describeArrival(arrival)) });
  print(`listening on ${receiver.address}`);
  await stopped(stop);
}

/** One line: time, method, path, then the body with control characters made visible. */
export function describeArrival({ at, method, path, body }: Arrival): string {
  const shown = body.length > SHOWN_CHARACTERS ? `${body.slice(0, SHOWN_CHARACTERS)}…` : body;
  const safe = shown.replaceAll(/\p{Cc}/gu, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return `${at.toISOString().slice(11, 23)}  ${method} ${path}${safe === "" ? "" : `  ${safe}`}`;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  onRequest: (arrival: Arrival) => void,
): Promise<void> {
  const at = new Date();
  const path = request.url ?? "/";
  const body = await readBody(request);
  if (path !== "/healthz") onRequest({ at, method: request.method ?? "", path, headers: request.headers, body });
  const [, kind, value] = /^\/(status|delay)\/(\d{1,6})(?:[/?]|$)/.exec(path) ?? [];
  const status = kind === "status" && Number(value) >= 200 && Number(value) <= 599 ? Number(value) : 200;
  const respond = (): void => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(status === 204 || status === 304 ? undefined : JSON.stringify({ received: true }));
  };
  if (kind === "delay") setTimeout(respond, Number(value));
  else respond();
}

/** The body as text, its beginning where it is large; the rest is read and dropped. */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (size < MAX_BODY_BYTES) chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString("utf8");
}
