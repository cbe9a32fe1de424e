import { EventEmitter } from "node:events";
import { type Socket } from "node:net";
import { Client, type Dispatcher, errors } from "undici";
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
  /** The response has ended, but the system has not taken all of the request. */
  #isSending = false;
  /** What undici said with the `drain` that the pool has not heard of yet. */
  #drained: readonly unknown[] | null = null;
  /** Why undici would have closed the connection meanwhile. */
  #closing: Error | null = null;

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
    this.#closeWhenSent(socket);
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

  /**
   * Calls `sent` when the system has taken all of the request, or the connection is closed. Until then it takes no other request: that would
   * wait behind this one, and end with it.
   */
  whenSent(sent: () => void): void {
    const socket = this.#socket;
    if (socket === null || socket.writableLength === 0) {
      sent();
      return;
    }
    this.#isSending = true;
    socket.write("", () => {
      this.#isSending = false;
      sent();
      const [drained, closing] = [this.#drained, this.#closing];
      this.#drained = null;
      this.#closing = null;
      if (closing !== null) socket.destroy(closing);
      if (drained !== null) this.emit("drain", ...drained);
    });
  }

  /** To undici a request has ended with its response, and so has a connection that is not kept: that waits for the rest of the request. */
  #closeWhenSent(socket: Socket): void {
    const destroy = socket.destroy.bind(socket);
    socket.destroy = (error) => {
      if (!this.#isSending || !(error instanceof errors.InformationalError)) return destroy(error);
      this.#closing = error;
      return socket;
    };
  }

  /** With `drain` the pool learns that the connection takes another request. */
  override emit(event: string, ...values: unknown[]): boolean {
    if (event !== "drain" || !this.#isSending) return EventEmitter.prototype.emit.call(this, event, ...values);
    this.#drained = values;
    return true;
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
      if (this.#request === null && socket.writableLength > 0) socket.destroy();
    });
  }
}
