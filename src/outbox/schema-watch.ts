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

/** Asks the catalog alone, for which no right on the schema is needed. */
const SELECT_SAME = {
  name: "pgnetd_same_outbox",
  text: `select exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid = $1::oid and c.relname = 'http_request_queue' and n.nspname = 'net') as same`,
};

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
  /**
   * All statements but those that write results: each finds out first that the schema is still the one that the daemon began with.
   * Another may be anybody's, and views and triggers in it run with the rights of the daemon.
   */
  readonly checked: Queryable = { query: async (statement) => this.#queryChecked(statement) };
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
    if (outbox !== this.#options.outbox) throw this.#other();
  }

  /** Throws SCHEMA_MISSING where the outbox is not there, or another one; nothing of the schema is touched. */
  async assertThere(): Promise<void> {
    if (this.#isGone) throw this.#other();
    const { db, outbox } = this.#options;
    const { rows } = await db.query<{ same: boolean }>({ ...SELECT_SAME, values: [outbox] });
    if (rows[0]?.same !== true) throw this.#other();
  }

  async #queryChecked<Row extends pg.QueryResultRow>(
    statement: Statement,
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }> {
    await this.assertThere();
    return this.query<Row>(statement);
  }

  #other(): PgnetdError {
    this.#gone();
    return new PgnetdError("SCHEMA_MISSING", "net.http_request_queue is not the table that this daemon began with", {
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
