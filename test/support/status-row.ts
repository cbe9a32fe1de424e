/** What the statement of the database's status returns where there is no slot, no leader and nothing in the tables. */
export const STATUS_ROW = {
  current: "0/1",
  found: false,
  ours: null,
  wal_status: null,
  safe: null,
  confirmed: null,
  blockers: null,
  retained: null,
  leader: null,
  outbox_rows: 0,
  deferred: 0,
  dead_letters: 0,
  oldest_id: null,
  oldest_age: null,
} as const;
