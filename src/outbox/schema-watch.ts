import type pg from "pg";

import { PgnetdError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { findInstallation } from "../pg/installation.ts";
import { findForeign } from "../pg/ownership.ts";
import type { Queryable, Statement } from "../pg/pool.ts";
import { SQLSTATE, sqlstateOf } from "../pg/sqlstate.ts";

/** What a statement fails with where something of schema `net` is not there; but also in a trigger of somebody. */
const MISSING: ReadonlySet<string | null> = new Set([
  SQLSTATE.undefinedTable,
  SQLSTATE.invalidSchema,
  SQLSTATE.undefinedFunction,
]);

/** What a `SchemaWatch` needs. */
export interface SchemaWatchOptions {
  readonly db: Queryable;
  /** The oid of the outbox when the daemon began. */
  readonly outbox: number;
  readonly log: Log;
  /** Called once, when the schema is not the one that the daemon began with. */
  readonly gone: () => void;
}

/** Statements, with an eye on the schema: somebody may drop and recreate it under a running daemon. */
export class SchemaWatch implements Queryable {
  readonly #options: SchemaWatchOptions;
  #verifying = false;
  #isGone = false;

  constructor(options: SchemaWatchOptions) {
    this.#options = options;
  }

  async query<Row extends pg.QueryResultRow>(
    statement: Statement,
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }> {
    try {
      return await this.#options.db.query<Row>(statement);
    } catch (error) {
      if (MISSING.has(sqlstateOf(error))) void this.#verify();
      throw error;
    }
  }

  /** Throws SCHEMA_MISSING where rows come from another outbox: its ids mean other requests. */
  assertSame(outbox: number): void {
    if (outbox === this.#options.outbox) return;
    this.#gone();
    throw new PgnetdError("SCHEMA_MISSING", "net.http_request_queue is not the table that this daemon began with", {
      hint: "The daemon starts over with the one that is there.",
    });
  }

  async #verify(): Promise<void> {
    if (this.#verifying || this.#isGone) return;
    this.#verifying = true;
    try {
      // One that somebody else has put in its place is not touched.
      const isForeign = (await findForeign(this.#options.db, "net")) !== null;
      const found = isForeign ? null : await findInstallation(this.#options.db);
      if (found?.outbox !== this.#options.outbox) this.#gone();
    } catch {
      // The database cannot be asked: its schema may well be there.
    } finally {
      this.#verifying = false;
    }
  }

  #gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#options.log.warn({}, "schema net was dropped or recreated: the daemon starts over");
    this.#options.gone();
  }
}
