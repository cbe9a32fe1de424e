import { expect, it, test, vi } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { limitsOf } from "../../src/daemon/limits.ts";
import { memoryNeeded } from "../../src/doctor/host.ts";
import type { DatabaseReading } from "../../src/metrics/database-reading.ts";
import { Exposition } from "../../src/metrics/exposition.ts";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import type { Sample } from "../../src/metrics/sample.ts";
import type { DispatcherState } from "../../src/dispatch/dispatcher.ts";
import { lsn } from "../../src/pg/lsn.ts";

const DATABASE: DatabaseReading = {
  current: lsn(1_000n),
  slot: {
    health: "lost",
    isActive: false,
    retainedWalBytes: null,
    confirmed: lsn(400n),
    safeWalBytes: 77,
    inactiveSince: 1_800_000_000,
    invalidationReason: "idle_timeout",
    isSynced: true,
  },
  outboxRows: 3,
  deferredRows: 1,
  deadLetters: 2,
  oldestDueSeconds: 9,
  hostsPaused: 0,
};

const sample = (database: DatabaseReading | null): Sample => ({
  meters: { database: 'a "b"\\', requests: new RequestMeter(20), heartbeats: new HeartbeatMeter() },
  limits: { inFlight: 1, memoryRequests: 2, memoryBytes: 3, answerBytes: 4, perSecond: "unlimited" },
  isReady: false,
  state: null,
  load: null,
  answerBytes: 0,
  isUp: database !== null,
  server: database,
  database,
  slotSecondsToLimit: database === null ? null : 12.5,
  heartbeatPendingMs: 1_500,
});

/** A dispatcher whose last three sweeps failed, and which last heard the server a minute ago. */
const UNREAD: DispatcherState = {
  phase: "catch-up",
  standby: false,
  holder: null,
  stalled: null,
  unread: "the outbox could not be read 3 times in a row: canceling statement (57014)",
  queued: 0,
  inFlight: 0,
  inMemory: 0,
  memoryBytes: 0,
  lanesBehind: "every",
  heardMsAgo: 60_000,
  isWritable: true,
  received: null,
};

/** Lines of our metrics without the label `database`, sorted. */
async function linesOf(exposition: Exposition, one: Sample): Promise<readonly string[]> {
  const { text } = await exposition.scrape(async () => [one]);
  const lines = text.split("\n").filter((line) => line.startsWith("pgnetd_"));
  expect(lines.filter((line) => !line.includes(String.raw`database="a \"b\"\\"`))).toEqual([]);
  return lines.map((line) =>
    line
      .replace(String.raw`database="a \"b\"\\"`, "")
      .replace("{}", "")
      .replace(/[{,],?/, "{"),
  );
}

it("a slot's reading is shown, one 1 in each state set; what the database did not say is missing", async () => {
  const lines = await linesOf(new Exposition(), sample(DATABASE));
  for (const line of [
    'pgnetd_slot_health{health="lost"} 1',
    'pgnetd_slot_health{health="ok"} 0',
    'pgnetd_slot_invalidated{reason="idle_timeout"} 1',
    'pgnetd_slot_invalidated{reason="wal_removed"} 0',
    "pgnetd_slot_synced 1",
    "pgnetd_slot_active 0",
    "pgnetd_slot_inactive_since_timestamp_seconds 1800000000",
    "pgnetd_slot_safe_wal_bytes 77",
    "pgnetd_slot_seconds_to_limit 12.5",
    "pgnetd_slot_confirmed_lag_bytes 600",
    "pgnetd_heartbeat_pending_seconds 1.5",
    "pgnetd_requests_per_second_limit +Inf",
  ]) {
    expect(lines).toContain(line);
  }
  for (const name of ["pgnetd_slot_retained_bytes", "pgnetd_slot_received_lag_bytes", "pgnetd_server_heard_seconds"]) {
    expect(lines.filter((line) => line.startsWith(name))).toEqual([]);
  }
});

it("a scrape a second later shows nothing of the one before, and one within the second asks nobody", async () => {
  let now = 0;
  let asked = 0;
  const exposition = new Exposition(() => now);
  const ask = (database: DatabaseReading | null) => async (): Promise<readonly Sample[]> => {
    asked += 1;
    return [sample(database)];
  };
  const first = await exposition.scrape(ask(DATABASE));
  now = 999;
  expect(await exposition.scrape(ask(null))).toEqual(first);
  expect(asked).toBe(1);
  now = 1_000;
  const { text } = await exposition.scrape(ask(null));
  expect(asked).toBe(2);
  expect(text).toContain(" pgnetd_outbox_rows gauge");
  expect(text).not.toMatch(/^pgnetd_outbox_rows/m);
  expect(text).toMatch(/^pgnetd_database_up\{.*\} 0$/m);
});

test.for([
  [0, null],
  [2 ** 64, null],
  [1_000, 1_000],
] as const)(
  "where the system says that the process may have %d bytes, its limit is shown as %s",
  async ([bytes, shown]) => {
    const constrained = vi.spyOn(process, "constrainedMemory").mockReturnValue(bytes);
    try {
      const lines = await linesOf(new Exposition(), sample(DATABASE));
      const expected = shown === null ? [] : [`pgnetd_process_memory_limit_bytes ${shown}`];
      expect(lines.filter((line) => line.startsWith("pgnetd_process_memory_limit_bytes"))).toEqual(expected);
      expect(lines).toContain(`pgnetd_process_memory_expected_bytes ${shown ?? 200_000_014}`);
    } finally {
      constrained.mockRestore();
    }
  },
);

it("an outbox that could not be read is the leader's to report, and no longer when it has become a standby", async () => {
  const line = async (state: DispatcherState): Promise<readonly string[]> =>
    (await linesOf(new Exposition(), { ...sample(DATABASE), state })).filter((one) =>
      one.startsWith("pgnetd_outbox_readable"),
    );
  expect(await line(UNREAD)).toEqual(["pgnetd_outbox_readable 0"]);
  expect(await line({ ...UNREAD, phase: "not-leading", standby: true })).toEqual(["pgnetd_outbox_readable 1"]);
});

it("whether every lane is behind, and when the server was last heard, is shown by the leader alone", async () => {
  const shown = async (state: DispatcherState | null): Promise<readonly string[]> =>
    (await linesOf(new Exposition(), { ...sample(DATABASE), state })).filter((one) =>
      /^pgnetd_(every_lane_behind|server_heard_seconds)/.test(one),
    );
  expect(await shown(UNREAD)).toEqual(["pgnetd_every_lane_behind 1", "pgnetd_server_heard_seconds 60"]);
  expect(await shown({ ...UNREAD, phase: "not-leading", standby: true })).toEqual(["pgnetd_every_lane_behind 0"]);
  expect(await shown(null)).toEqual(["pgnetd_every_lane_behind 0"]);
});

it("the memory that the process is expected to take is what the doctor compares with that of the machine", async () => {
  const constrained = vi.spyOn(process, "constrainedMemory").mockReturnValue(0);
  try {
    const config = loadConfig({ env: { DATABASE_URL: "postgres://db/app", PGNETD_MEMORY_BYTES: "1GiB" } });
    const lines = await linesOf(new Exposition(), { ...sample(DATABASE), limits: limitsOf(config) });
    expect(lines).toContain(`pgnetd_process_memory_expected_bytes ${memoryNeeded(config)}`);
  } finally {
    constrained.mockRestore();
  }
});
