import { expect, test } from "vitest";
import { PgnetdError } from "../../src/base/errors.ts";
import { statusLines } from "../../src/cli/status.ts";
import type { DispatcherState } from "../../src/dispatch/dispatcher.ts";
import type { DatabaseStatus } from "../../src/ops/database-status.ts";
import { type LocalDaemon, localDaemonText } from "../../src/ops/local-daemon.ts";
import { healthOf } from "../../src/ops/status.ts";
import { parseLsn } from "../../src/pg/lsn.ts";
import { type SlotHealth, slotHealth, type SlotState } from "../../src/slot/health.ts";

const GIB = 1024 ** 3;
const SLOT: SlotState = {
  isOurs: true,
  walStatus: "reserved",
  retainedWalBytes: 0,
  safeWalBytes: null,
  confirmed: parseLsn("0/190"),
};

const healths: readonly (readonly [SlotHealth, SlotState | null])[] = [
  ["missing", null],
  ["creating", { ...SLOT, confirmed: null }],
  ["unknown", { ...SLOT, isOurs: false }],
  ["ok", SLOT],
  ["ok", { ...SLOT, retainedWalBytes: 100 * GIB }],
  ["ok", { ...SLOT, retainedWalBytes: 2 * GIB, safeWalBytes: GIB }],
  ["at_risk", { ...SLOT, retainedWalBytes: 4 * GIB, safeWalBytes: GIB }],
  ["at_risk", { ...SLOT, walStatus: "unreserved", safeWalBytes: -5 }],
  ["lost", { ...SLOT, walStatus: "lost" }],
];

test.for(healths)("a slot is %s", ([health, slot]) => {
  expect(slotHealth(slot)).toBe(health);
});

const STATE: DispatcherState = {
  phase: "live",
  standby: false,
  holder: null,
  stalled: null,
  unread: null,
  queued: 3,
  inFlight: 2,
  inMemory: 5,
  memoryBytes: 5_000,
  lanesBehind: 0,
  heardMsAgo: 0,
  isWritable: true,
  received: parseLsn("0/1A0"),
};

const DATABASE: DatabaseStatus = {
  slotName: "pgnetd_app",
  slot: "ok",
  slotBlockers: [],
  retainedWalBytes: 2_000,
  current: parseLsn("0/200"),
  confirmed: parseLsn("0/190"),
  leader: { pid: 42, gid: null, user: "daemon", application: "pgnetd (pg_net) leader", address: null, mayLead: true },
  outboxRows: 7,
  deferred: 1,
  oldest: { id: "9", ageSeconds: 1.25 },
  deadLetters: 0,
};

test("health shows the positions, the oldest request and what is in memory", () => {
  expect(healthOf({ state: STATE, outage: null, database: DATABASE, mode: "send", waitingFor: null })).toMatchObject({
    state: "live",
    ready: true,
    slot: "ok",
    positions: { current: "0/200", received: "0/1A0", confirmed: "0/190" },
    oldest: { id: "9", ageSeconds: 1.25 },
    requests: { outbox: 7, queued: 3, inFlight: 2 },
  });
});

test("health says why there is no stream, and what mends it", () => {
  const outage = { reason: "no slot is free", sqlstate: "53400", hint: "Raise max_replication_slots." };
  const health = healthOf({
    state: { ...STATE, phase: "polling" },
    outage,
    database: null,
    mode: "send",
    waitingFor: null,
  });
  expect(health).toMatchObject({ state: "polling", ready: true, slot: "unknown" });
  expect(health.detail).toContain("no slot is free. Raise max_replication_slots.");
});

test("health says why a leader starts nothing", () => {
  const stalled = "no request starts until the settings of hosts are read";
  const health = healthOf({
    state: { ...STATE, stalled },
    outage: null,
    database: null,
    mode: "send",
    waitingFor: null,
  });
  expect(health).toMatchObject({ ready: true, detail: `leading: ${stalled}` });
});

test("a leader that cannot read the outbox is not ready; one that stands by is, whatever it could not read before", () => {
  const unread = "the outbox could not be read 3 times in a row: no (42501)";
  const health = (part: Partial<DispatcherState>): object =>
    healthOf({ state: { ...STATE, unread, ...part }, outage: null, database: null, mode: "send", waitingFor: null });
  expect(health({})).toMatchObject({ ready: false, detail: `leading, but ${unread}` });
  expect(health({ phase: "not-leading", standby: true })).toMatchObject({ ready: true });
});

test.each([
  ["whose role may not lead, whatever its name", "pgnetd (pg_net) leader", false],
  ["whose name is another, whatever its role", "psql", true],
])("a session %s, that has the leader's lock is no reason to be ready, and is named", (_, application, mayLead) => {
  const holder = { pid: 4711, gid: null, user: "app", application, address: null, mayLead };
  const state = { ...STATE, phase: "not-leading", standby: true, holder } as const;
  expect(healthOf({ state, outage: null, database: null, mode: "send", waitingFor: null })).toMatchObject({
    ready: false,
    detail: `process 4711 (${application}, role app) has the leader's lock and is no pgnetd. End it: select pg_terminate_backend(4711); -- as role app or a member of pg_signal_backend or a superuser`,
  });
  const leader = { ...holder, application: "pgnetd (pg_net) leader", mayLead: true };
  expect(
    healthOf({ state: { ...state, holder: leader }, outage: null, database: null, mode: "send", waitingFor: null })
      .ready,
  ).toBe(true);
});

test("health says that nothing is sent where requests are captured", () => {
  expect(healthOf({ state: STATE, outage: null, database: null, mode: "capture", waitingFor: null })).toMatchObject({
    ready: true,
    mode: "capture",
    detail: expect.stringMatching(/^capture mode, nothing is sent; leading: /) as unknown,
  });
});

test("a daemon is not ready without the database, and is while it stands by", () => {
  const without = healthOf({ state: null, outage: null, database: null, mode: "send", waitingFor: null });
  expect(without).toMatchObject({ state: "starting", ready: false });
  const missing = new PgnetdError("SCHEMA_MISSING", "there is no schema net", { hint: "Run pgnetd migrate." });
  const why = healthOf({ state: null, outage: null, database: null, mode: "send", waitingFor: missing }).detail;
  expect(why).toBe("waiting for the database and its schema: there is no schema net. Run pgnetd migrate.");
  const notLeading = { ...STATE, phase: "not-leading" } as const;
  expect(healthOf({ state: notLeading, outage: null, database: null, mode: "send", waitingFor: null }).ready).toBe(
    false,
  );
  expect(
    healthOf({ state: { ...notLeading, standby: true }, outage: null, database: null, mode: "send", waitingFor: null })
      .ready,
  ).toBe(true);
});

const AT = "127.0.0.1:9464";
const ASK_LEADER = "; whether the leader starts requests is known to it alone: ask beside it";
const here = { kind: "daemon", at: AT, state: "live", isLeading: true, stalled: null } as const;

const localDaemons: readonly (readonly [text: string, daemon: LocalDaemon])[] = [
  [`live at ${AT}`, here],
  [`live at ${AT}, and sends nothing`, { ...here, stalled: "results cannot be written" }],
  [`standby at ${AT}${ASK_LEADER}`, { ...here, state: "standby", isLeading: false }],
  [`none at ${AT}${ASK_LEADER}`, { kind: "none", at: AT }],
  [`what has ${AT} does not answer${ASK_LEADER}`, { kind: "silent", at: AT }],
  [`what answers at ${AT} is no daemon of this version${ASK_LEADER}`, { kind: "unknown", at: AT }],
];

test.for(localDaemons)("of the daemon here the status says: %s", ([text, daemon]) => {
  expect(localDaemonText(daemon)).toBe(text);
});

test("the status names what an operator looks for", () => {
  expect(
    Object.fromEntries(
      statusLines({ ...DATABASE, outboxRows: 100_000 }, { mode: "send", environment: null, daemon: here }),
    ),
  ).toEqual({
    environment: "none",
    mode: "send",
    leader: "process 42 (pgnetd (pg_net) leader, role daemon)",
    "daemon here": `live at ${AT}`,
    slot: "pgnetd_app: ok",
    "retained WAL": "2 KiB",
    current: "0/200",
    confirmed: "0/190",
    waiting: "100000 or more (1 for a later time)",
    oldest: "request 9, 1.3 s",
    "dead letters": "0",
  });
});
