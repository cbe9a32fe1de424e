import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { PgnetdError, toError } from "../base/errors.ts";
import { redact } from "../config/redact.ts";
import type { HttpMode } from "../http/mode.ts";
import type { SlotHealth } from "../slot/health.ts";

/** What the daemon reports about itself. */
export interface Health {
  /** What it does: `standby` while another daemon leads, `polling` sweeps without a stream. */
  readonly state: "starting" | "connecting" | "standby" | "catch-up" | "live" | "polling" | "stopping";
  /** True when it leads or is on standby, with a connection to the database. */
  readonly ready: boolean;
  /** Why it is ready or not, for a person to read; free of secrets (P11). */
  readonly detail: string;
  /** Why no request starts although it leads; null where they start. */
  readonly stalled: string | null;
  /** `capture` where requests are recorded as answers and nothing is sent. */
  readonly mode: HttpMode;
  readonly slot: SlotHealth;
  /** WAL positions as PostgreSQL writes them; null where not known. `received` is this daemon's own. */
  readonly positions: {
    readonly current: string | null;
    readonly received: string | null;
    readonly confirmed: string | null;
  };
  /** The request that waits longest; null where none does, or the database could not be read. */
  readonly oldest: { readonly id: string; readonly ageSeconds: number } | null;
  /** Requests in the outbox, in this daemon's memory queued for their turn, and in flight. */
  readonly requests: { readonly outbox: number | null; readonly queued: number; readonly inFlight: number };
  /** Lanes of which the outbox may have requests that are not in memory; `every` at a start, until the outbox was read once. */
  readonly lanesBehind: number | "every";
}

/** Where to listen, and whom to ask. */
export interface HealthServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Asked once per request; must not wait. */
  readonly health: () => Health;
  /** Called before a `/readyz` is answered, so that what the database is asked for is fresh at the next one. */
  readonly asked?: () => void;
  /** The text of `/metrics` and its media type. */
  readonly metrics?: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Answers what is asked for under any other path; false where that is nothing of its own. */
  readonly page?: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}

/** Whom to ask for the health. */
export type HealthSource = Required<Pick<HealthServerOptions, "health" | "asked">>;

/** An open health server. Closing it ends its connections. */
export interface HealthServer extends AsyncDisposable {
  /** The port it listens on. */
  readonly port: number;
}

/** Connections open at once: whoever holds more must not use up the process's descriptors. */
const MOST_CONNECTIONS = 256;

/** How long a client may take, in milliseconds: for a request, and between two of them. */
const CLIENT_TIMES = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};

/** Requests over one connection, and bytes of the headers of each. */
const CLIENT_SIZES = { maxRequestsPerSocket: 100, maxHeaderSize: 8 * 1024 };

/**
 * Serves `/healthz`: 200 whenever the process answers at all, whatever the database does, so that only a stuck process is
 * restarted; and `/readyz`: 200 where `ready`, else 503. Both return the health as JSON. `/metrics` is for Prometheus, and the rest for
 * the page.
 */
export async function openHealthServer({ host, port, ...sources }: HealthServerOptions): Promise<HealthServer> {
  const connections = new Connections();
  const { maxRequestsPerSocket, maxHeaderSize } = CLIENT_SIZES;
  const server = createServer({ ...CLIENT_TIMES, maxHeaderSize }, (request, response) => {
    if (!connections.used(request.socket, response)) response.shouldKeepAlive = false;
    void answer(request, response, sources);
  });
  server.maxRequestsPerSocket = maxRequestsPerSocket;
  server.on("connection", (socket) => connections.opened(socket));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  }).catch((error: unknown) => {
    throw new PgnetdError("LISTEN_FAILED", `cannot listen on ${host} port ${port}: ${toError(error).message}`, {
      cause: error,
      hint: "See what has it (ss -ltnp); a pgnetd that hangs is to be killed. Or set server.host and server.port (PGNETD_HOST, PGNETD_PORT) to an address that is free.",
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * Open connections, the one used longest ago first. For a new one too many that one is closed which has been idle for longest, or,
 * where none is idle, the first: a probe gets its answer whoever holds all the others, and a slow answer is not cut off for it.
 */
class Connections {
  /** How many answers of each have not ended. */
  readonly #open = new Map<Socket, number>();

  opened(socket: Socket): void {
    if (this.#open.size >= MOST_CONNECTIONS) this.#closeOne();
    this.#open.set(socket, 0);
    socket.once("close", () => this.#open.delete(socket));
  }

  /** Returns whether there is room to keep the connection after its answer. */
  used(socket: Socket, response: ServerResponse): boolean {
    this.#count(socket, 1);
    response.once("close", () => this.#count(socket, -1));
    return this.#open.size <= MOST_CONNECTIONS / 2;
  }

  #count(socket: Socket, by: 1 | -1): void {
    const answers = this.#open.get(socket);
    if (answers === undefined) return;
    this.#open.delete(socket);
    this.#open.set(socket, answers + by);
  }

  #closeOne(): void {
    const [first] = this.#open.keys();
    const longestIdle = this.#open.entries().find(([, answers]) => answers === 0)?.[0] ?? first;
    if (longestIdle === undefined) return;
    this.#open.delete(longestIdle);
    longestIdle.destroy();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { health, asked, metrics, page }: Pick<HealthServerOptions, "health" | "asked" | "metrics" | "page">,
): Promise<void> {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (path !== "/healthz" && path !== "/readyz" && path !== "/metrics") {
    if (await page?.(request, response)) return;
    return reply(response, 404, { error: "there is /healthz, /readyz and /metrics" });
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return reply(response, 405, { error: "GET and HEAD are allowed" });
  }
  try {
    if (path === "/metrics") {
      const { contentType, text } = (await metrics?.()) ?? { contentType: "text/plain", text: "" };
      return write(response, 200, contentType, text);
    }
    if (path === "/readyz") asked?.();
    const now = health();
    reply(response, path === "/healthz" || now.ready ? 200 : 503, {
      ...now,
      detail: redact(now.detail),
      stalled: now.stalled === null ? null : redact(now.stalled),
    });
  } catch (error) {
    reply(response, 500, { error: redact(toError(error).message) });
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  write(response, status, "application/json; charset=utf-8", `${JSON.stringify(body)}\n`);
}

/** Node leaves the body out where the request was a HEAD. */
function write(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, {
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
  });
  response.end(text);
}
