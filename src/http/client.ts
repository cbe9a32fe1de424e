import { existsSync } from "node:fs";
import { DEFAULT_CIPHERS, createSecureContext, getCACertificates } from "node:tls";
import { Agent, Pool, buildConnector } from "undici";
import { Names } from "../dns/names.ts";
import { type Resolve, shareLookups } from "../dns/resolve.ts";
import { type AnswerMemory, UNBOUNDED } from "../limits/answer-memory.ts";
import { type Request } from "../outbox/request.ts";
import { type Connecting } from "./connect.ts";
import { createGuard } from "./guard.ts";
import { Connection } from "./connection.ts";
import { type Outcome } from "./outcome.ts";
import { CrumbPace } from "./paced-read.ts";
import { Sending, type SendingContext } from "./sending.ts";
import { TlsBounds } from "./tls-bounds.ts";

export interface HttpClientOptions {
  /** `User-Agent` of requests that set none. */
  readonly userAgent: string;
  /** Connections to one scheme, host and port at a time; further requests wait for one, within their timeout. */
  readonly connectionsPerOrigin: number;
  /** Largest content of a response in bytes, as received and as decoded. */
  readonly maxResponseBytes: number;
  /** Longest time for one request in milliseconds, whatever its own timeout; one without a timeout has this. Default: 600,000. */
  readonly maxTimeoutMs?: number | undefined;
  /** Networks (CIDR) and single addresses allowed beyond the public internet. */
  readonly allowNetworks: readonly string[];
  /** How long an idle connection is kept, in milliseconds; shorter where the server says so. Default: 4,000. */
  readonly keepAliveMs?: number | undefined;
  /** Certificates (PEM) trusted beside those of Node and the system. Default: none. */
  readonly trustedCertificates?: readonly string[] | undefined;
  /** Finds the addresses of a name. Default: as the system does, see `Names`. */
  readonly resolve?: Resolve | undefined;
}

/** What the caller of `send` adds to a request. */
export interface SendExtras {
  /** Sent as `Idempotency-Key` unless the request has one; null sends none. */
  readonly idempotencyKey: string | null;
  /** Sent as `traceparent` in place of the caller's. Default: the caller's. */
  readonly traceparent?: string | undefined;
  /** What the answer may hold; the caller gives it back. Default: as much as the largest. */
  readonly memory?: AnswerMemory | undefined;
}

/** Sends requests and reports how each ended. */
export interface HttpClient extends AsyncDisposable {
  /** Never rejects. `kill` ends the request at once as `aborted`. */
  send(request: Request, extras: SendExtras, kill?: AbortSignal): Promise<Outcome>;
  /** Ends a request in flight, the very object given to `send`, at once as timed out; false where it has ended, or waits for us alone. */
  expire(request: Request): boolean;
}

/** Largest size of all response headers together, in bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

const MAX_TIMEOUT_MS = 600_000;

/**
 * P6: Diffie-Hellman over a prime of the server's choice is left out, as browsers do: with one of 10,000 bits a handshake takes half a
 * second, in which nothing else goes on.
 */
const CIPHERS = `${DEFAULT_CIPHERS}:!kDHE`;

/** Opens the one client of the process that sends. Disposing ends what is in flight as `aborted` and closes all connections. */
export function openHttpClient(options: HttpClientOptions): HttpClient {
  const names = new Names();
  const connecting: Connecting = {
    guard: createGuard(options.allowNetworks),
    resolve: shareLookups(options.resolve ?? names.resolve),
    startTls: createTlsConnector(options.trustedCertificates ?? []),
    openSockets: 0,
    pace: new CrumbPace(),
    tlsBounds: new TlsBounds(),
  };
  const context: SendingContext = {
    agent: createAgent(options, connecting, 1),
    freshAgent: createAgent(options, connecting, 0),
    maxResponseBytes: options.maxResponseBytes,
    maxTimeoutMs: options.maxTimeoutMs ?? MAX_TIMEOUT_MS,
    connecting,
  };
  return new UndiciClient(context, names, options.userAgent);
}

class UndiciClient implements HttpClient {
  readonly #context: SendingContext;
  readonly #names: Disposable;
  readonly #userAgent: string;
  readonly #inFlight = new Set<Sending>();
  readonly #watched = new WeakSet<AbortSignal>();

  constructor(context: SendingContext, names: Disposable, userAgent: string) {
    this.#context = context;
    this.#names = names;
    this.#userAgent = userAgent;
  }

  send(request: Request, extras: SendExtras, kill?: AbortSignal): Promise<Outcome> {
    const { idempotencyKey, traceparent, memory = UNBOUNDED } = extras;
    if (kill !== undefined) this.#watch(kill);
    return new Promise((resolve) => {
      const settled = (ended: Sending, outcome: Outcome): void => {
        this.#inFlight.delete(ended);
        resolve(outcome);
      };
      const sending = new Sending(this.#context, { request, memory, signal: kill, settled });
      this.#inFlight.add(sending);
      if (kill?.aborted === true) sending.abort();
      else sending.begin({ userAgent: this.#userAgent, idempotencyKey, traceparent });
    });
  }

  expire(request: Request): boolean {
    // In the order of their starts, so that the one in flight for the longest is found at once.
    for (const sending of this.#inFlight) if (sending.request === request) return sending.giveUpPlace();
    return false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sending of this.#inFlight) sending.abort();
    this.#names[Symbol.dispose]();
    await Promise.all([this.#context.agent.destroy(), this.#context.freshAgent.destroy()]);
  }

  /** One listener for each signal, not for each request. */
  #watch(kill: AbortSignal): void {
    if (this.#watched.has(kill)) return;
    this.#watched.add(kill);
    const abortAll = (): void => {
      for (const sending of this.#inFlight) if (sending.signal === kill) sending.abort();
    };
    kill.addEventListener("abort", abortAll, { once: true });
  }
}

/** With `pipelining` 0 every request opens a connection of its own. */
function createAgent(options: HttpClientOptions, connecting: Connecting, pipelining: 0 | 1): Agent {
  const keepAliveMs = options.keepAliveMs ?? 4_000;
  const connectionOptions = {
    pipelining,
    allowH2: false,
    // The deadline of the request is kept outside, over name, handshakes, redirects and content together.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: keepAliveMs,
    // P6: those that are kept are few, so that no server may say that its own stay longer.
    keepAliveMaxTimeout: keepAliveMs,
    keepAliveTimeoutThreshold: 1_000,
  };
  return new Agent({
    factory: (origin) => {
      const pool = new Pool(origin, {
        connections: options.connectionsPerOrigin,
        allowH2: false,
        factory: (connectionOrigin) => new Connection(connectionOrigin, connectionOptions, connecting),
      });
      return letGo(pool);
    },
  });
}

/**
 * P5: an agent of undici 8.12 closes the pool of an origin when its last connection has ended, unless a request is pending;
 * one that was aborted with that connection still counts at that moment. So the agent checks again right after it.
 */
function letGo(pool: Pool): Pool {
  return pool.on("disconnect", (origin, _targets, error) => {
    queueMicrotask(() => pool.emit("connectionError", origin, [], error));
  });
}

/**
 * TLS over an open socket, trusting Node's certificates, the system's and `trusted`. All are read here: it takes a tenth of
 * a second, in which nothing else would go on if it were done with the first request.
 */
function createTlsConnector(trusted: readonly string[]): buildConnector.connector {
  const known = new Set(getCACertificates("default"));
  const more = [...systemCertificates(), ...trusted].filter((certificate) => !known.has(certificate));
  const ca = more.length === 0 ? undefined : [...known, ...more];
  const secureContext = createSecureContext({ ciphers: CIPHERS, ca });
  // Said, since otherwise NODE_TLS_REJECT_UNAUTHORIZED in the environment switches it off.
  return buildConnector({ allowH2: false, timeout: 0, secureContext, rejectUnauthorized: true });
}

/** The system's own; a slim image has none, and Node would complain of it on standard error. */
function systemCertificates(): readonly string[] {
  const folder = process.env["SSL_CERT_DIR"] ?? "/etc/ssl/certs";
  return process.platform === "linux" && !existsSync(folder) ? [] : getCACertificates("system");
}
