import { type Socket } from "node:net";
import { Client, type Dispatcher } from "undici";
import { Attempt, type Connecting } from "./connect.ts";
import { readHeads } from "./head.ts";
import { type ReadWaiter, paceReads } from "./paced-read.ts";

/** A request that learns which connection it is assigned to. */
export interface AssignedRequest extends Dispatcher.DispatchHandler, ReadWaiter {
  /** Called when `connection` was assigned; false when the request has ended meanwhile and must not be sent. */
  assign(connection: Connection): boolean;
  /** The connection failed; whether its response was whole is for the request to say. */
  connectionFailed(error: Error): void;
}

/** One connection, opened when first needed and again after it was closed; carries one request at a time. */
export class Connection extends Client {
  /** The latest attempt to open the connection; null before the first. */
  attempt: Attempt | null = null;
  /** Requests begun on the present connection. */
  reuseCount = 0;
  #request: AssignedRequest | null = null;
  #socket: Socket | null = null;

  constructor(origin: URL | string, options: Client.Options, connecting: Connecting) {
    super(origin, {
      ...options,
      connect: (target, opened) => {
        this.reuseCount = 0;
        const attempt = new Attempt(target, connecting, (...result) => {
          if (result[1] !== null) this.#opened(result[1], attempt, connecting);
          opened(...result);
        });
        this.attempt = attempt;
      },
    });
  }

  #opened(socket: Socket, attempt: Attempt, { pace, tlsBounds }: Connecting): void {
    const waiter = (): AssignedRequest | null => this.#request;
    this.#socket = socket;
    socket.once("close", () => {
      if (this.#socket === socket) this.#socket = null;
    });
    if (attempt.isSecured) tlsBounds.watch({ secured: socket, receivedBytes: () => attempt.receivedBytes, waiter });
    paceReads(socket, waiter, pace);
    readHeads(socket, waiter);
    // Before undici's own listener: it takes a reset for the end of a response without a length.
    socket.prependListener("error", (error: Error) => this.#request?.connectionFailed(error));
  }

  override dispatch(options: Dispatcher.DispatchOptions, request: AssignedRequest): boolean {
    // "Ready for another": the pool goes on with its next request, and this one costs no connection.
    if (!request.assign(this)) return true;
    this.#request = request;
    return super.dispatch(options, request);
  }

  /** Called when the request has ended, so that an idle connection holds nothing of it. */
  release(request: AssignedRequest): void {
    if (this.#request === request) this.#request = null;
  }

  /** Calls `sent` when the system has taken all of the request, or the connection is closed. */
  whenSent(sent: () => void): void {
    const socket = this.#socket;
    if (socket === null || socket.writableLength === 0) sent();
    else socket.write("", () => sent());
  }

  /**
   * P5: called when a response has ended, and nobody waits for the rest of the request to be sent. That would stay in memory as long as the
   * connection is idle, and the next request would wait behind it. So the connection is closed.
   */
  closeUnlessSent(): void {
    const socket = this.#socket;
    if (socket === null || socket.writableLength === 0) return;
    // With TLS it is a turn later that the system is known to have taken everything. undici goes on with the connection behind this.
    setImmediate(() => {
      if (socket.writableLength > 0) socket.destroy();
    });
  }
}
