import { eventually } from "./eventually.ts";
import type { TestDatabase } from "./postgres.ts";
import type { Received } from "./receiver.ts";

/** One transaction with `count` posts to `url`, each with its number appended. */
export async function enqueue(db: Pick<TestDatabase, "query">, url: string, count: number): Promise<void> {
  await db.query("select count(net.http_post($1 || g)) from generate_series(1, $2::int) g", [url, count]);
}

/** Resolves when nothing waits in the outbox. */
export async function emptied(db: Pick<TestDatabase, "query">, withinMs = 60_000): Promise<void> {
  await eventually(async () => (await db.query("select from net.http_request_queue limit 1")).length === 0, withinMs);
}

/** Resolves when no session of a daemon is left in the database. */
export async function sessionsGone(db: Pick<TestDatabase, "query">): Promise<void> {
  await eventually(async () => {
    const left = await db.query(
      "select from pg_stat_activity where datname = current_database() and application_name like 'pgnetd%'",
    );
    return left.length === 0;
  });
}

/** The different values of `Idempotency-Key` with which each path arrived; one without it counts as undefined. */
export function keysByPath(requests: readonly Received[]): ReadonlyMap<string, ReadonlySet<unknown>> {
  const keys = new Map<string, Set<unknown>>();
  for (const { path, headers } of requests) {
    keys.set(path, (keys.get(path) ?? new Set()).add(headers["idempotency-key"]));
  }
  return keys;
}
