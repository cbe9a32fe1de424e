import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { daemonRole } from "../support/daemon-role.ts";
import { eventually } from "../support/eventually.ts";
import { expectExactlyOnce } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

const COUNT = 1_200;
/** The fault begins when this many have come. */
const BEFORE = 200;
/** In flight at most. */
const CONCURRENCY = 16;
/** Begun between the first answer that cannot be written and the refusal of the write: half a second of the rate. */
const UNTIL_REFUSED = 200;
/** So often the daemon tries to write in vain, while nothing else may start. */
const TRIES = 5;
const ENV = {
  PGNETD_RATE_PER_SECOND: "400",
  PGNETD_HOST_CONCURRENCY: String(CONCURRENCY),
  // A session keeps the defaults it began with, and is given up at its first refused write: each may cost one wait more.
  PGNETD_POOL_SIZE: "2",
};

const REFUSED = "results cannot be written: they are kept, and no request starts";
const AGAIN = "results are written again";

/** What the operator's side does to a database whose schema `role` owns. */
interface Fault {
  readonly what: string;
  readonly code: string;
  readonly hint: RegExp;
  readonly harm: (db: TestDatabase, role: string) => readonly string[];
  readonly mend: (db: TestDatabase, role: string) => readonly string[];
}

const sessionsEnded = ({ name }: TestDatabase): string =>
  `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgnetd (pg_net)' and datname = '${name}'`;

const FAULTS: readonly Fault[] = [
  {
    what: "the disk full",
    code: "53100",
    hint: /free or add space/,
    harm: () => [
      `create function public.full() returns trigger language plpgsql as
        $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$`,
      "create trigger full_disk before insert on net._http_response for each row execute function public.full()",
    ],
    mend: () => ["drop trigger full_disk on net._http_response"],
  },
  {
    what: "no right to insert answers",
    code: "42501",
    hint: /grant it again/,
    harm: (_db, role) => [`revoke insert on net._http_response from public, ${role}`],
    mend: (_db, role) => [`grant insert on net._http_response to ${role}`],
  },
  {
    what: "no right to delete requests",
    code: "42501",
    hint: /grant it again/,
    harm: (_db, role) => [`revoke update, delete on net.http_request_queue from public, ${role}`],
    mend: (_db, role) => [`grant update, delete on net.http_request_queue to ${role}`],
  },
  {
    what: "no right on the outbox at all",
    code: "42501",
    hint: /grant it again/,
    harm: (_db, role) => [`revoke all on net.http_request_queue from public, ${role}`],
    mend: (_db, role) => [`grant all on net.http_request_queue to ${role}`],
  },
  {
    what: "a database set to read-only",
    code: "25006",
    hint: /default_transaction_read_only/,
    harm: (db) => [`alter database ${db.name} set default_transaction_read_only = on`, sessionsEnded(db)],
    mend: (db) => [`alter database ${db.name} reset default_transaction_read_only`],
  },
];

/** Runs statements by a session that may write whatever the database's default is. */
async function apply(db: TestDatabase, statements: readonly string[]): Promise<void> {
  const client = await db.pool.connect();
  try {
    await client.query("set default_transaction_read_only = off");
    for (const statement of statements) await client.query(statement);
  } finally {
    client.release(true);
  }
}

/** Transactions of the database that failed: of these tests, none but writes of results do. */
async function failures(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    "select xact_rollback::int as count from pg_stat_database where datname = current_database()",
  );
  return row?.count ?? 0;
}

/** Resolves to how many requests had come when the refusal was reported, and how many after `TRIES` further tries. */
async function outage(
  daemon: Daemon,
  db: TestDatabase,
  receiver: Receiver,
): Promise<readonly [told: number, held: number]> {
  await eventually(() => said(daemon).some((line) => line.startsWith(REFUSED)));
  const told = receiver.requests.length;
  const before = await failures(db);
  await eventually(async () => (await failures(db)) >= before + TRIES, 60_000);
  return [told, receiver.requests.length];
}

/** Warnings and errors of the log, each with its cause. */
function said(daemon: Daemon): readonly string[] {
  return daemon
    .events()
    .filter(({ level }) => level === "warn" || level === "error")
    .map(({ msg, code }) => `${String(msg)}: ${String(code)}`);
}

test.each(FAULTS)(
  "P2 P3: $what while results are written: sending stops, says why once, and goes on by itself",
  async ({ code, hint, harm, mend }) => {
    await using role = await daemonRole();
    await using db = await testDatabase({ migrated: false });
    const databaseUrl = await role.own(db);
    await using receiver = await startReceiver();
    await using daemon = await startDaemon({ databaseUrl, env: ENV });
    await enqueue(db, receiver.url("/"), COUNT);
    await receiver.waitFor(BEFORE);
    await apply(db, harm(db, role.name));
    const harmedAt = receiver.requests.length;

    const [told, held] = await outage(daemon, db, receiver);
    expect(told - harmedAt).toBeLessThanOrEqual(UNTIL_REFUSED);
    expect(held - told).toBeLessThanOrEqual(CONCURRENCY);
    expect(held).toBeLessThan(COUNT);
    const refusals = daemon.events().filter(({ msg }) => msg === REFUSED);
    expect(refusals.filter((line) => line["code"] === code)).toEqual([
      expect.objectContaining({ hint: expect.stringMatching(hint) as unknown }),
    ]);
    // Each cause once: a session ended in the middle of its work has a code of its own.
    const lines = said(daemon);
    expect(lines).toEqual([...new Set(lines)]);
    const readyz = await fetch(`${daemon.address}/readyz`, { signal: AbortSignal.timeout(30_000) });
    expect(await readyz.json()).toMatchObject({ requests: { inFlight: 0 } });

    await apply(db, mend(db, role.name));
    const mendedAt = performance.now();
    await receiver.waitFor(held + 1);
    const resumedMs = Math.round(performance.now() - mendedAt);
    await emptied(db);
    await expectExactlyOnce(
      db,
      receiver,
      COUNT,
      `${held - harmedAt} sent after the harm, ${resumedMs} ms until the next after the mending`,
    );
    expect(daemon.events().filter(({ msg }) => msg === AGAIN).length).toBeGreaterThan(0);
  },
);
