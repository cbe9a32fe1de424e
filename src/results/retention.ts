import { backoffMs } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Loop } from "../base/loops.ts";
import type { Queryable, Statement } from "../pg/pool.ts";
import { isTrusted } from "../pg/ownership.ts";
import { TRIGGERS_AS_FOR_USERS } from "../pg/search-path.ts";
import { writeFailure } from "./write-failure.ts";

/** How long rows stay, in seconds; null keeps them until somebody deletes them. */
export interface Retention {
  /** Rows of `net._http_response`, `net.http_response_detail` and, with webhooks installed, `supabase_functions.hooks`; 21,600 (6 hours) unless set. */
  readonly ttlSeconds: number | null;
  /** Rows of `net.http_dead_letter`. */
  readonly deadLetterTtlSeconds: number | null;
}

/** What expiry needs. */
export interface ExpiryOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  /** Read before each statement, so that a change takes effect at once. */
  readonly retention: () => Retention;
  /** From the end of one round to the next, in milliseconds; 60,000 unless set. */
  readonly everyMs?: number | undefined;
  /** Rows of one table in one statement at most; 1,000 unless set. */
  readonly maxRows?: number | undefined;
}

/** Statements are made smaller above the first and larger below the second, in milliseconds. */
const SLOW_MS = 200;
const QUICK_MS = 50;
const LEAST_PAUSE_MS = 20;
const FAILED_WAITS = { firstMs: 1_000, maxMs: 60_000 };

/** The rows to delete next, from where the previous statement ended: not over index entries that vacuum has yet to remove. */
function deletion(table: string, column: string, ttl: string, from: string): string {
  return `(
  delete from ${table} as expired using (
    select ctid as at, tableoid as within from ${table}
    where ${column} >= ${from}::timestamptz and ${column} < pg_catalog.statement_timestamp() - pg_catalog.make_interval(secs => ${ttl}::float8)
    order by ${column} limit $3::integer for update skip locked
  ) as old
  where expired.ctid = old.at and expired.tableoid = old.within returning expired.${column} as ended
)`;
}

/** The records of webhooks, where pgnetd made the table and it and its schema are still its own: a trigger would run as the daemon. */
const HAS_HOOKS = `exists (select from net.pgnetd_parts p where p.name = 'webhooks') and exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'supabase_functions' and c.relname = 'hooks' and c.relkind = 'r'::"char"
      and ${isTrusted("c.relowner")} and ${isTrusted("n.nspowner")})`;

const EXPIRE = `
with response as ${deletion("net._http_response", "created", "$1", "$4")},
detail as ${deletion("net.http_response_detail", "created", "$1", "$5")},
letter as ${deletion("net.http_dead_letter", "died", "$2", "$6")}
select greatest((select pg_catalog.count(*) from response), (select pg_catalog.count(*) from detail), (select pg_catalog.count(*) from letter),
    case when ${HAS_HOOKS} then net._expire_hooks($1::float8, $3::integer) end)::integer as most,
  (select pg_catalog.max(ended)::text from response) as response,
  (select pg_catalog.max(ended)::text from detail) as detail,
  (select pg_catalog.max(ended)::text from letter) as letter
where ${TRIGGERS_AS_FOR_USERS}`;

interface Expired {
  /** Rows deleted from the table that had most. */
  readonly most: number;
  readonly response: string | null;
  readonly detail: string | null;
  readonly letter: string | null;
}

type Marks = Readonly<Record<"response" | "detail" | "letter", string>>;
const BEGINNING: Marks = { response: "-infinity", detail: "-infinity", letter: "-infinity" };

/** Deletes expired rows in small statements with pauses between them; one statement a minute when there are none (P8). */
export function expireResults(options: ExpiryOptions): Loop {
  const { clock, log, everyMs = 60_000 } = options;
  return async (signal) => {
    let failures = 0;
    while (!signal.aborted) {
      let waitMs = everyMs;
      try {
        await expireRound(options, signal);
        if (failures > 0) log.info({}, "expired results are deleted again");
        failures = 0;
      } catch (error) {
        const { code, message, hint } = writeFailure(error);
        if (failures === 0)
          log.warn({ code, error: message, hint }, "expired results cannot be deleted: it is tried again");
        waitMs = backoffMs(failures, FAILED_WAITS);
        failures += 1;
      }
      await clock.sleep(waitMs, signal);
    }
  };
}

async function expireRound(
  { db, clock, retention, maxRows = 1_000 }: ExpiryOptions,
  signal: AbortSignal,
): Promise<void> {
  let marks = BEGINNING;
  let rows = maxRows;
  while (!signal.aborted) {
    const startedAt = clock.now();
    const result = await db.query<Expired & Record<string, unknown>>(statementOf(retention(), rows, marks));
    const [expired] = result.rows;
    if (expired === undefined || expired.most < rows) return;
    marks = {
      response: expired.response ?? marks.response,
      detail: expired.detail ?? marks.detail,
      letter: expired.letter ?? marks.letter,
    };
    const tookMs = clock.now() - startedAt;
    rows = nextRows(rows, tookMs, maxRows);
    await clock.sleep(Math.max(LEAST_PAUSE_MS, tookMs), signal);
  }
}

function statementOf({ ttlSeconds, deadLetterTtlSeconds }: Retention, rows: number, marks: Marks): Statement {
  return {
    name: "pgnetd_expire",
    text: EXPIRE,
    values: [ttlSeconds, deadLetterTtlSeconds, rows, marks.response, marks.detail, marks.letter],
  };
}

/** How many rows the next statement takes, so that each stays quick whatever the size of contents. */
export function nextRows(rows: number, tookMs: number, maxRows: number): number {
  if (tookMs > SLOW_MS) return Math.max(1, Math.floor(rows / 2));
  if (tookMs < QUICK_MS) return Math.min(maxRows, rows * 2);
  return rows;
}

/** Lifetimes in seconds, as the settings have them. */
interface Lifetimes {
  readonly ttlSeconds: number | "never";
  readonly deadLetterTtlSeconds: number | "never";
}

/** Retention for the configured lifetimes. */
export function retentionOf({ ttlSeconds, deadLetterTtlSeconds }: Lifetimes): Retention {
  return { ttlSeconds: seconds(ttlSeconds), deadLetterTtlSeconds: seconds(deadLetterTtlSeconds) };
}

function seconds(lifetime: number | "never"): number | null {
  return lifetime === "never" ? null : lifetime;
}
