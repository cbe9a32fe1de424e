import { Client, type Dispatcher } from "undici";
import { Attempt, type Connecting } from "./connect.ts";
import { readHeads } from "./head.ts";
import { type ReadWaiter, paceReads } from "./paced-read.ts";

/** A request that learns which connection carries it. */
export interface Passenger extends Dispatcher.DispatchHandler, ReadWaiter {
  /** Called when `line` was chosen; false when the request has ended meanwhile and must not be sent. */
  board(line: Line): boolean;
}

/** One connection, opened when first needed and again after it was closed; carries one request at a time. */
export class Line extends Client {
  /** The latest attempt to open the connection; null before the first. */
  attempt: Attempt | null = null;
  /** Requests begun on the present connection. */
  carried = 0;
  #passenger: Passenger | null = null;

  constructor(origin: URL | string, options: Client.Options, connecting: Connecting) {
    super(origin, {
      ...options,
      connect: (target, opened) => {
        this.carried = 0;
        this.attempt = new Attempt(target, connecting, (...result) => {
          if (result[1] !== null) {
            paceReads(result[1], () => this.#passenger, connecting.pace);
            readHeads(result[1], () => this.#passenger);
          }
          opened(...result);
        });
      },
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, passenger: Passenger): boolean {
    // "Ready for another": the pool goes on with its next request, and this one costs no connection.
    if (!passenger.board(this)) return true;
    this.#passenger = passenger;
    return super.dispatch(options, passenger);
  }

  /** Called when the request has ended, so that an idle connection holds nothing of it. */
  alight(passenger: Passenger): void {
    if (this.#passenger === passenger) this.#passenger = null;
  }
}
