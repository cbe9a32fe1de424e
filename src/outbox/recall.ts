import type { Queryable } from "../pg/pool.ts";
import { TRIGGERS_IN_USERS_PATH } from "../pg/search-path.ts";

/** What somebody else has locked or has put off further is left out. */
const RECALL = {
  name: "pgnetd_recall",
  text: `
with free as (
  select q.id from net.http_request_queue q
  where q.id = any ($1::bigint[]) and q.next_attempt_at > pg_catalog.clock_timestamp()
    and q.next_attempt_at <= pg_catalog.clock_timestamp() + $2::float8 * interval '1 millisecond'
  for update skip locked
), recalled as (
  update net.http_request_queue q set next_attempt_at = pg_catalog.clock_timestamp() from free where q.id = free.id
)
select where ${TRIGGERS_IN_USERS_PATH}`,
};

/** Parked rows that are to come back before their time. */
export interface Recall {
  readonly ids: readonly bigint[];
  /** None of them was parked for longer than this from now on, in milliseconds. */
  readonly withinMs: number;
}

/** Makes parked rows due now. Rejects with the driver's error when the database cannot be asked. */
export async function recall(db: Queryable, { ids, withinMs }: Recall): Promise<void> {
  await db.query({ ...RECALL, values: [ids.map(String), withinMs] });
}
