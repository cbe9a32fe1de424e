import { systemClock } from "../base/clock.ts";
import { Client } from "../pg/client.ts";
import { connectionConfig } from "../pg/pool.ts";
import { sessionName } from "../pg/session-name.ts";
import { hangUp } from "../wal/wire.ts";

/** How one connection went. */
export type Probed =
  | {
      readonly kind: "open";
      /** The process id that was announced at login. */
      readonly announced: number | null;
      /** The process id that PostgreSQL itself gives. */
      readonly actual: number;
    }
  | { readonly kind: "failed"; readonly error: unknown };

interface Announced {
  readonly processID: number | null;
}

const ANSWER_MS = 5_000;

/** Tries connections as the daemon makes them, each at most once, and ends them at once. */
export class ConnectionProbe {
  readonly #url: string;
  #ordinary: Promise<Probed> | null = null;
  #replication: Promise<Probed> | null = null;

  constructor(url: string) {
    this.#url = url;
  }

  /** An ordinary connection. */
  ordinary(): Promise<Probed> {
    return (this.#ordinary ??= this.#probe({}));
  }

  /** A connection for logical replication; it uses a walsender for a moment, and no slot. */
  replication(): Promise<Probed> {
    return (this.#replication ??= this.#probe({ replication: "database" }));
  }

  /** The host of the connection URL. */
  get host(): string {
    return new URL(this.#url).hostname;
  }

  /** The port of the connection URL. */
  get port(): number {
    return Number(new URL(this.#url).port || 5432);
  }

  async #probe(more: { readonly replication?: "database" }): Promise<Probed> {
    const config = { ...connectionConfig(this.#url, sessionName("doctor")), query_timeout: ANSWER_MS, ...more };
    const client = new Client(config);
    client.on("error", () => undefined);
    try {
      await client.connect();
      // A pooler may pass over what was asked for at login, and give an ordinary session: this is of walsenders alone.
      if (more.replication !== undefined) await client.query("IDENTIFY_SYSTEM");
      const { rows } = await client.query<{ pid: number }>("select pg_catalog.pg_backend_pid() as pid");
      const { processID } = client as unknown as Announced;
      return { kind: "open", announced: processID, actual: rows[0]?.pid ?? 0 };
    } catch (error) {
      return { kind: "failed", error };
    } finally {
      // Until the server has ended the session it counts as one more.
      await hangUp(client, () => client.end(), systemClock);
    }
  }
}
