import type pg from "pg";

import type { Queryable, Statement } from "../pg/pool.ts";

/** What waits beyond this is refused. */
const MOST_WAITING = 10;

/** P6: statements of the page, one at a time: however many watch and search, the others have all connections but one. */
export class PageStatements implements Queryable {
  readonly #db: () => Queryable;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(db: () => Queryable) {
    this.#db = db;
  }

  async query<Row extends pg.QueryResultRow>(
    statement: Statement,
  ): Promise<{ readonly rows: Row[]; readonly rowCount: number | null }> {
    if (this.#waiting >= MOST_WAITING) throw new Error("too much is asked at once; try again");
    this.#waiting++;
    const mine = this.#last.then(async () => this.#db().query<Row>(statement));
    this.#last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }
}
