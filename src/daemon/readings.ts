import type pg from "pg";

import { PgnetdError } from "../base/errors.ts";
import type { Queryable, Statement } from "../pg/pool.ts";

/** What the page asks of schema `net`: nothing while the daemon waits for it, as it may be somebody else's. */
export class Readings implements Queryable {
  #db: Queryable | null = null;

  /** The schema is there, and is ours. */
  begin(db: Queryable): void {
    this.#db = db;
  }

  async query<Row extends pg.QueryResultRow>(
    statement: Statement,
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }> {
    if (this.#db !== null) return this.#db.query<Row>(statement);
    throw new PgnetdError(
      "SCHEMA_MISSING",
      "the daemon waits for the database and its schema: nothing is read from it",
    );
  }
}
