import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { type Received, startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** A daemon whose posts show that it sent them: they carry no `Idempotency-Key`. */
const NAMELESS = { ...FAST, PGNETD_IDEMPOTENCY_KEY: "false" };

/** Requests to one host at a time, unless set. */
const PLACES = 64;

const leads = (daemon: Daemon): boolean => daemon.events().some(({ msg, to }) => msg === "phase" && to === "polling");

/** Who had the leader's lock when `daemon` began to stand by. */
const holderSeenBy = (daemon: Daemon): { readonly application?: string } | undefined =>
  daemon.events().find(({ msg }) => String(msg).includes("standing by"))?.["holder"] as
    | { application?: string }
    | undefined;

async function inFlight(daemon: Daemon): Promise<number> {
  const health = await (await fetch(`${daemon.address}/readyz`)).json();
  return (health as { requests: { inFlight: number } }).requests.inFlight;
}

test("a daemon that stands by holds back vacuum for no longer than one slice of its wait", async () => {
  await using db = await testDatabase();
  await using _leader = await startDaemon({ databaseUrl: db.url });
  await using standby = await startDaemon({ databaseUrl: db.url });
  expect(leads(standby)).toBe(false);
  const horizon = async (): Promise<bigint | null> => {
    await db.query("select pg_current_xact_id()");
    const [row] = await db.query<{ xmin: string | null }>(
      `select min(backend_xmin::text::bigint) as xmin from pg_stat_activity
      where datname = current_database() and application_name like 'pgnetd%' and pid <> pg_backend_pid()`,
    );
    return row?.xmin === null || row === undefined ? null : BigInt(row.xmin);
  };
  const held = await eventually(async () => (await horizon()) ?? undefined);
  const since = performance.now();
  await eventually(async () => {
    const now = await horizon();
    return now === null || now > held;
  }, 25_000);
  expect(performance.now() - since).toBeLessThan(22_000);
});

test("a fence as long as the liveness timeout is refused at the start", async () => {
  await using daemon = await startDaemon({
    databaseUrl: "postgres://app@127.0.0.1:1/app",
    env: { PGNETD_FENCE_MS: "3001", PGNETD_SENDER_TIMEOUT_MS: "4000" },
    waitUntilReady: false,
  });
  expect(await daemon.ended).toEqual({ code: 78, signal: null });
  expect(daemon.log()).toContain("slot.fenceMs (PGNETD_FENCE_MS) is 3001: must be at most three quarters");
});

test("a leader frozen for longer than the liveness timeout starts nothing when it wakes up beside another", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using first = await startDaemon({ databaseUrl: db.url, env: { ...NAMELESS, PGNETD_GRACE_MS: "0" } });
  await using second = await startDaemon({ databaseUrl: db.url, env: FAST });
  const byFirst = ({ headers }: Received): boolean => headers["idempotency-key"] === undefined;
  const sentByFirst = (): number => receiver.requests.filter(byFirst).length;
  const thaw = Promise.withResolvers<null>();
  receiver.behave((request, index) => {
    if (!byFirst(request)) return { kind: "answer", delayMs: 20 };
    return index < 500 ? { kind: "answer" } : { kind: "answer", after: thaw.promise };
  });
  await db.query(
    "select count(net.http_post($1 || g, timeout_milliseconds := 60000)) from generate_series(1, 10000) g",
    [receiver.url("/")],
  );
  // All its places are taken by requests that have arrived: it is frozen where it is about to start none.
  await receiver.waitFor(500 + PLACES);
  await eventually(async () => (await inFlight(first)) === PLACES);
  const before = sentByFirst();
  expect(before).toBe(500 + PLACES);
  first.signal("SIGSTOP");
  const frozenAt = performance.now();
  await eventually(() => leads(second), 10_000);
  const takenOverMs = performance.now() - frozenAt;
  // When it wakes up, all its places are free at once.
  thaw.resolve(null);
  await receiver.waitFor(receiver.requests.length + 100);
  first.signal("SIGCONT");
  await eventually(() => holderSeenBy(first)?.application === "pgnetd (pg_net) leader", 20_000);
  receiver.behave({ kind: "answer" });
  await emptied(db);

  const counts = await countFault(db, receiver, 10_000);
  reportFault(
    counts,
    `taken over after ${Math.round(takenOverMs)} ms; started by the old leader afterwards: ${sentByFirst() - before}`,
  );
  expect(sentByFirst()).toBe(before);
  expect(takenOverMs).toBeLessThan(6_000);
  expect(counts).toMatchObject({ answered: 10_000, lost: 0 });
  // In flight to one host, and answered in the two batches on their way into the database.
  expect(counts.repeated).toBeLessThanOrEqual(PLACES + 2 * 500);
});
