import type { FaultServer } from "../support/fault-server.ts";
import type { Arrival } from "./destinations.ts";
import type { Transaction } from "./callers.ts";

/** One end of a request, as the tables have it. */
export interface End {
  readonly kind: "answered" | "dead letter" | "cancelled";
  /** Tries that were counted, with the one in flight where it was cancelled. */
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly content: string | null;
  /** When, in milliseconds since the epoch. */
  readonly at: number;
  /** Of what was cancelled: when it was due. */
  readonly due: number | null;
}

/** Everything known of one row of the outbox. */
export interface Account {
  readonly id: string;
  /** More than one where calls were deduplicated. */
  readonly keys: readonly number[];
  readonly ends: readonly End[];
  /** Its row is in the outbox. */
  readonly waits: boolean;
  /** Tries of earlier lives, each of which ended as a dead letter and was replayed. */
  readonly replayedAttempts: readonly number[];
  readonly arrivals: readonly Arrival[];
}

/** The books of a run: what was committed, and what became of it. */
export interface Books {
  readonly accounts: readonly Account[];
  /** Ends of ids that nobody made. */
  readonly strangers: readonly string[];
  /** Arrivals whose transaction did not commit. */
  readonly uncommitted: readonly Arrival[];
  readonly transactionOf: (key: number) => Transaction | undefined;
}

const ENDS = `
  select r.id::text, 'answered' as kind, coalesce(d.attempts, 1) as attempts, r.status_code as status, r.error_msg as error,
    left(r.content, 30) as content, extract(epoch from r.created)::float8 * 1000 as at, null::float8 as due
  from net._http_response r
  left join lateral (select attempts from net.http_response_detail d where d.id = r.id limit 1) as d on true
  union all
  select id::text, 'dead letter', attempts, status_code, error_msg, null, extract(epoch from died)::float8 * 1000, null
  from net.http_dead_letter
  union all
  select id::text, 'cancelled', attempts + 1, null, null, null, extract(epoch from at)::float8 * 1000,
    extract(epoch from due)::float8 * 1000
  from swarm.cancelled`;

/** Reads the tables and puts them beside what came. */
export async function readBooks(
  db: FaultServer,
  arrivals: readonly Arrival[],
  transactions: readonly Transaction[],
): Promise<Books> {
  const made = await db.query<{ id: string; keys: string[] }>(
    "select id::text, array_agg(key order by key) as keys from swarm.made group by id order by id",
  );
  const ends = groupBy(await db.query<End & { id: string }>(ENDS), ({ id }) => id);
  const replayed = groupBy(
    await db.query<{ id: string; attempts: number }>("select id::text, attempts from swarm.replayed"),
    ({ id }) => id,
  );
  const outbox = await db.query<{ id: string }>("select id::text from net.http_request_queue");
  const waiting = new Set(outbox.map(({ id }) => id));
  const arrived = groupBy(arrivals, ({ key }) => key);
  const accounts = made.map(({ id, keys: texts }) => {
    const keys = texts.map(Number);
    return {
      id,
      keys,
      ends: ends.get(id) ?? [],
      waits: waiting.has(id),
      replayedAttempts: (replayed.get(id) ?? []).map(({ attempts }) => attempts),
      arrivals: keys.flatMap((key) => arrived.get(key) ?? []).toSorted((a, b) => a.at - b.at),
    };
  });
  const committed = new Set(accounts.flatMap(({ keys }) => keys));
  const ids = new Set(made.map(({ id }) => id));
  const byKey = new Map<number, Transaction>();
  for (const one of transactions) for (let key = one.first; key <= one.last; key++) byKey.set(key, one);
  return {
    accounts,
    strangers: [...ends.keys()].filter((id) => !ids.has(id)),
    uncommitted: arrivals.filter(({ key }) => !committed.has(key)),
    transactionOf: (key) => byKey.get(key),
  };
}

function groupBy<Key, Item>(items: readonly Item[], keyOf: (item: Item) => Key): ReadonlyMap<Key, readonly Item[]> {
  return Map.groupBy(items, keyOf);
}
