import type { Socket } from "node:net";

import pg from "pg";

/** What is under a client: `pg` has no public way to it. */
interface Wired {
  readonly connection: {
    readonly stream: Socket;
    on(event: "error", listener: () => void): void;
  };
}

/** The socket of a connection, for what `pg` has no word for. */
export function socketOf(client: pg.ClientBase): Socket {
  return (client as unknown as Wired).connection.stream;
}

/**
 * A connection that is dropped where it fails on this side, for want of a password for example. `pg` leaves it open: the server then waits for
 * the rest of the login for a minute, and whoever drops a database waits for the server.
 */
export class Client extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const { connection } = this as unknown as Wired;
    connection.on("error", () => connection.stream.destroy());
  }
}
