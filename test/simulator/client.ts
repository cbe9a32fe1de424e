import { EventEmitter } from "node:events";

import pg from "pg";

import type { Link } from "./link.ts";
import type { Session } from "./server/session.ts";

/** What a statement returns. */
export interface StatementResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly rowCount: number | null;
}

/** One statement on its way to the server. */
export interface SentStatement {
  readonly name: string | undefined;
  readonly text: string;
  readonly values: readonly unknown[];
}

type Callback = (error: Error | undefined, result?: StatementResult) => void;

interface Query extends SentStatement {
  readonly callback: Callback;
  isDone: boolean;
}

/** Connects a client of the process that asks to the server; null where nobody listens. */
export type Connect = (client: SimulatedClient, options: ConnectionOptions) => { link: Link; session: Session } | null;

/** What distinguishes connections. */
export interface ConnectionOptions {
  readonly application: string;
  readonly isReplication: boolean;
}

let connectTo: Connect = () => null;

/** Has the clients of `pg` connect to the simulated server, in this whole process. */
export function installClient(): void {
  pg.Client = SimulatedClient as unknown as typeof pg.Client;
}

/** From now on clients connect to this server. */
export function setServer(connect: Connect): void {
  connectTo = connect;
}

/** The socket of a connection: bytes of the stream of replication come over it, the rest is counted alone. */
class SimulatedSocket extends EventEmitter {
  bytesRead = 0;
  readonly #client: SimulatedClient;

  constructor(client: SimulatedClient) {
    super();
    this.#client = client;
    this.on("data", (bytes: Buffer) => client.connection.parse(bytes));
  }

  receive(bytes: Buffer): void {
    this.bytesRead += bytes.length;
    this.emit("data", bytes);
  }

  pause(): void {}

  resume(): void {}

  destroy(error?: Error): void {
    this.#client.destroyed(error);
  }
}

/** What `pg` calls the connection of a client. */
class SimulatedConnection extends EventEmitter {
  readonly stream: SimulatedSocket;
  readonly #client: SimulatedClient;

  constructor(client: SimulatedClient) {
    super();
    this.#client = client;
    this.stream = new SimulatedSocket(client);
  }

  /** Reads whole messages of the copy protocol. */
  parse(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const length = bytes.readUInt32BE(at + 1);
      this.emit("copyData", { chunk: bytes.subarray(at + 5, at + 1 + length) });
      at += 1 + length;
    }
  }

  sendCopyFromChunk(chunk: Buffer): void {
    this.#client.copied(chunk);
  }
}

/** In the place of `pg.Client`: the parts of it that `pg.Pool`, `pg-logical-replication` and pgnetd use, without a socket. */
export class SimulatedClient extends EventEmitter {
  readonly connection: SimulatedConnection;
  readonly #options: pg.ClientConfig & { readonly replication?: string };
  /** Read by `pg.Pool`. */
  _queryable = true;
  _ending = false;
  #link: Link | null = null;
  #session: Session | null = null;
  readonly #queue: Query[] = [];
  #active: Query | null = null;
  #ended = false;
  #connecting: Callback | null = null;

  constructor(options: pg.ClientConfig & { readonly replication?: string }) {
    super();
    this.#options = options;
    this.connection = new SimulatedConnection(this);
  }

  connect(): Promise<void>;
  connect(callback: Callback): void;
  connect(callback?: Callback): Promise<void> | void {
    if (callback !== undefined) return this.#connect(callback);
    return new Promise((resolve, reject) => {
      this.#connect((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  #connect(callback: Callback): void {
    const { connectionTimeoutMillis = 0, application_name = "", replication } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    this.#connecting = (error) => {
      clearTimeout(timer);
      this.#connecting = null;
      callback(error);
    };
    if (connectionTimeoutMillis > 0) {
      timer = setTimeout(() => this.destroyed(new Error("timeout expired")), connectionTimeoutMillis);
    }
    const connected = connectTo(this, { application: application_name, isReplication: replication !== undefined });
    if (connected === null) {
      setImmediate(() => this.#refused());
      return;
    }
    this.#link = connected.link;
    this.#session = connected.session;
  }

  #refused(): void {
    this.#ended = true;
    this._queryable = false;
    this.#connecting?.(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" }));
  }

  /** The server has accepted the connection, or refused it. */
  accepted(error: Error | null): void {
    this.#connecting?.(error ?? undefined);
    this.#next();
  }

  query(...given: unknown[]): Promise<StatementResult> | undefined {
    const callback = given.find((one) => typeof one === "function") as Callback | undefined;
    const [statement, values] = given as [string | (SentStatement & { query_timeout?: number }), unknown];
    const {
      text,
      name,
      values: own,
      query_timeout,
    } = typeof statement === "string" ? { ...NO_OPTIONS, text: statement } : statement;
    const timeoutMs = query_timeout ?? this.#options.query_timeout ?? 0;
    const ask = (answered: Callback): void => {
      this.#ask(
        { name, text, values: own ?? (Array.isArray(values) ? values : []), callback: answered, isDone: false },
        timeoutMs,
      );
    };
    if (callback !== undefined) {
      ask(callback);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      ask((error, result) => (result === undefined ? reject(error ?? new Error("no result")) : resolve(result)));
    });
  }

  #ask(query: Query, timeoutMs: number): void {
    if (!this._queryable || this._ending) {
      process.nextTick(() =>
        query.callback(new Error("Client has encountered a connection error and is not queryable")),
      );
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const waited: Query = {
      ...query,
      callback: (error, result) => {
        clearTimeout(timer);
        if (waited.isDone) return;
        waited.isDone = true;
        query.callback(error, result);
      },
    };
    if (timeoutMs > 0) timer = setTimeout(() => waited.callback(new Error("Query read timeout")), timeoutMs);
    this.#queue.push(waited);
    this.#next();
  }

  #next(): void {
    if (this.#active !== null || this.#connecting !== null) return;
    const query = this.#queue.shift();
    if (query === undefined) return;
    if (query.isDone) return this.#next();
    this.#active = query;
    const { name, text } = query;
    // What was sent is sent, whatever becomes of the buffer.
    const values = query.values.map((value) => (Buffer.isBuffer(value) ? Buffer.from(value) : value));
    const session = this.#session;
    this.#link?.toServer(() => session?.ask({ name, text, values }));
  }

  /** The server has answered the statement under way. */
  answered(error: Error | null, result: StatementResult | null): void {
    const query = this.#active;
    this.#active = null;
    this.connection.stream.bytesRead += 64;
    if (error === null && result !== null) query?.callback(undefined, result);
    else query?.callback(error ?? new Error("no result"));
    this.#next();
  }

  copied(chunk: Buffer): void {
    const session = this.#session;
    this.#link?.toServer(() => session?.copied(chunk));
  }

  end(): Promise<void>;
  end(callback: () => void): void;
  end(callback?: () => void): Promise<void> | void {
    this._ending = true;
    const whenEnded = new Promise<void>((resolve) => {
      if (this.#ended || this.#link === null) resolve();
      else this.once("end", () => resolve());
    });
    if (this.#active !== null || !this._queryable) this.connection.stream.destroy();
    else {
      const session = this.#session;
      this.#link?.toServer(() => session?.goodbye());
    }
    if (callback === undefined) return whenEnded;
    void whenEnded.then(() => setImmediate(callback));
  }

  /** The socket was dropped on this side. */
  destroyed(error?: Error): void {
    if (this.#ended) return;
    this.#link?.closeClient();
    setImmediate(() => this.closed(error));
  }

  /** The connection is gone. */
  closed(cause?: Error | string): void {
    if (this.#ended) return;
    this.#ended = true;
    this._queryable = false;
    const error =
      cause instanceof Error
        ? cause
        : new Error(this._ending ? "Connection terminated" : "Connection terminated unexpectedly");
    for (const query of [this.#active, ...this.#queue]) process.nextTick(() => query?.callback(error));
    this.#active = null;
    this.#queue.length = 0;
    if (this.#connecting !== null) this.#connecting(error);
    else if (!this._ending) this.emit("error", error);
    process.nextTick(() => this.emit("end"));
  }
}

const NO_OPTIONS = { name: undefined, values: undefined, query_timeout: undefined };
