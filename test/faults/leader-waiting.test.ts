import { expect, test } from "vitest";

import { type Daemon, startDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { countFault, reportFault } from "../support/fault-report.ts";
import { emptied, enqueue } from "../support/outbox.ts";
import { testDatabase } from "../support/postgres.ts";
import { startReceiver } from "../support/receiver.ts";

const FAST = { PGNETD_RATE_PER_SECOND: "unlimited" };

/** A daemon whose posts show that it sent them: they carry no `Idempotency-Key`. */
const NAMELESS = { ...FAST, PGNETD_IDEMPOTENCY_KEY: "false" };

const leads = (daemon: Daemon): boolean => daemon.events().some(({ msg, to }) => msg === "phase" && to === "polling");

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

test("a fence as long as the server's patience is refused at the start", async () => {
  await using daemon = await startDaemon({
    databaseUrl: "postgres://app@127.0.0.1:1/app",
    env: { PGNETD_FENCE_MS: "3001", PGNETD_SENDER_TIMEOUT_MS: "4000" },
    waitUntilReady: false,
  });
  expect(await daemon.ended).toEqual({ code: 78, signal: null });
  expect(daemon.log()).toContain("slot.fenceMs (PGNETD_FENCE_MS) is 3001: must be at most three quarters");
});

test("a leader frozen for longer than the server's patience starts nothing when it wakes up beside another", async () => {
  await using db = await testDatabase();
  await using receiver = await startReceiver();
  await using first = await startDaemon({ databaseUrl: db.url, env: { ...NAMELESS, PGNETD_GRACE_MS: "0" } });
  await using second = await startDaemon({ databaseUrl: db.url, env: FAST });
  receiver.behave({ kind: "answer", delayMs: 100 });
  await enqueue(db, receiver.url("/"), 10_000);
  await receiver.waitFor(500);
  first.signal("SIGSTOP");
  const frozenAt = performance.timeOrigin + performance.now();
  await eventually(() => leads(second), 10_000);
  const takenOverMs = performance.timeOrigin + performance.now() - frozenAt;
  const sent = receiver.requests.length;
  await receiver.waitFor(sent + 100);
  const byFirst = (): number =>
    receiver.requests.filter(({ headers }) => headers["idempotency-key"] === undefined).length;
  const before = byFirst();
  first.signal("SIGCONT");
  await first.ready();
  await eventually(() => first.log().includes("standing by"), 10_000);
  expect(first.log()).toMatch(/"holder":\{"pid":\d+,"user":"\w+","application":"pgnetd \(pg_net\) leader"/);
  receiver.behave({ kind: "answer" });
  await emptied(db);

  const counts = await countFault(db, receiver, 10_000);
  reportFault(
    counts,
    `taken over after ${Math.round(takenOverMs)} ms; started by the old leader afterwards: ${byFirst() - before}`,
  );
  expect(byFirst()).toBe(before);
  expect(takenOverMs).toBeLessThan(6_000);
  expect(counts).toMatchObject({ answered: 10_000, lost: 0 });
  // In flight to one host, and answered in the two batches on their way into the database.
  expect(counts.repeated).toBeLessThanOrEqual(64 + 2 * 500);
});
