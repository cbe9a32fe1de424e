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

  constructor(origin: URL | string, options: Client.Options, connecting: Connecting) {
    super(origin, {
      ...options,
      connect: (target, opened) => {
        this.reuseCount = 0;
        this.attempt = new Attempt(target, connecting, (...result) => {
          if (result[1] !== null) {
            paceReads(result[1], () => this.#request, connecting.pace);
            readHeads(result[1], () => this.#request);
            // Before undici's own listener: it takes a reset for the end of a response without a length.
            result[1].prependListener("error", (error: Error) => this.#request?.connectionFailed(error));
          }
          opened(...result);
        });
      },
    });
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
}
