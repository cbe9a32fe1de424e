import { expect, test } from "vitest";
import { Dispatcher } from "../../src/dispatch/dispatcher.ts";
import { DispatcherEvents } from "../../src/dispatch/events.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import type { SweepResult } from "../../src/outbox/sweep.ts";
import { lsn } from "../../src/pg/lsn.ts";
import type { Inserter, Snapshot } from "../../src/pg/snapshot.ts";
import { lowXid } from "../../src/pg/xid.ts";
import type { ServerIdentity } from "../../src/replication/session-options.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FREE } from "../support/hosts-lab.ts";
import { requestOf } from "../support/http-peer.ts";
import { ANSWERED } from "../support/sender-lab.ts";
import { silentLog } from "../support/silent-log.ts";
import { UNBOUNDED_ANSWERS } from "../support/unbounded-answers.ts";
import { turn } from "../support/world-referee.ts";

const FENCE_MS = 2_500;
const FOUND: Omit<SweepResult, "rows"> = {
  snapshot: { xmin: 9n, xmax: 9n, inProgress: new Set() },
  insertLsn: lsn(1n),
  nextXid: 9n,
  left: [],
  isWhole: true,
  next: null,
  nextDueMs: null,
};
/** As the stream brings one, but for its id. */
const ROW = {
  method: "GET",
  url: "http://a/",
  headers: null,
  body: null,
  timeout_milliseconds: 5_000,
  created: "2026-01-02 03:04:05+00",
  next_attempt_at: null,
  attempts: 0,
  options: null,
};
const quiet = (): void => undefined;

const SERVER: ServerIdentity = { systemId: "1", timeline: 1, end: lsn(1_000n) };

/** A dispatcher whose outbox has one more request at each sweep, and whose requests end when a test says so. */
class Started implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly events = new DispatcherEvents();
  readonly dispatcher: Dispatcher;
  sent = 0;
  /** Tables whose change was reported, each time. */
  readonly changed: string[] = [];
  /** How often the settings of hosts were to be read for want of a stream. */
  polled = 0;
  /** How often the connections to the server were to be made anew. */
  reconnected = 0;
  /** Ends the request that was sent last. */
  answer: (outcome: Outcome) => void = quiet;
  /** The transactions of the requests that have ended. */
  readonly inserters: (Inserter | null)[] = [];
  /** How often the outbox was swept, and transactions in progress were read. */
  read = { sweeps: 0, snapshots: 0 };
  snapshot = FOUND.snapshot;
  isWhole = true;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor() {
    let swept = 0n;
    const sweep = async (): Promise<SweepResult> => {
      const request = requestOf("http://a/", { id: ++swept });
      this.read = { ...this.read, sweeps: this.read.sweeps + 1 };
      return {
        ...FOUND,
        snapshot: this.snapshot,
        isWhole: this.isWhole,
        rows: [{ request, defect: null, isForeign: false, nextAttemptAt: null, lane: "a", host: "a" }],
      };
    };
    const snapshot = async (): Promise<Snapshot> => {
      this.read = { ...this.read, snapshots: this.read.snapshots + 1 };
      return this.snapshot;
    };
    const send = async (): Promise<Outcome> => {
      this.sent++;
      return new Promise<Outcome>((resolve) => (this.answer = resolve));
    };
    this.dispatcher = new Dispatcher(
      {
        events: this.events,
        outbox: { sweep, snapshot },
        reconnect: () => void this.reconnected++,
        http: { send, expire: () => false },
        results: { write: (_, inserter) => void this.inserters.push(inserter) },
        answers: UNBOUNDED_ANSWERS,
        rate: FREE,
        rateOf: () => null,
        control: {
          changed: (table) => this.changed.push(table),
          message: quiet,
          polled: () => void this.polled++,
          streaming: quiet,
          leading: quiet,
        },
        clock: this.clock,
        log: silentLog,
        random: () => 0.5,
      },
      {
        memory: { requests: 10, bytes: 1e6, perLane: 10 },
        concurrency: { total: 10, perHost: 10 },
        perSecond: "unlimited",
        rows: { maxRedirects: 5, installationMarks: [] },
        fenceMs: FENCE_MS,
        outboxTable: "net.http_request_queue",
      },
    );
    this.#ended = this.dispatcher.run(this.#stop.signal);
  }

  /** Leads with a stream, and sweeps once. */
  async lead(server: ServerIdentity = SERVER): Promise<void> {
    this.dispatcher.leading(server);
    this.dispatcher.heard(this.clock.now());
    this.dispatcher.streaming();
    await turn();
  }

  configureHosts(isLatest = true): void {
    this.events.emit({ kind: "hosts-configured", settings: new Map(), isLatest });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

test("P7: settings of hosts are known before a leader starts its first request, in each leadership", async () => {
  await using started = new Started();
  const { dispatcher } = started;
  for (const before of [0, 1]) {
    await started.lead();
    expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: before, queued: 1 });
    started.configureHosts();
    expect(started.sent).toBe(before + 1);
    dispatcher.lost();
  }
});

test("P7: settings of hosts that were changed are read before anything more starts, or a second has passed", async () => {
  await using started = new Started();
  const { dispatcher, clock, events } = started;
  await started.lead();
  started.configureHosts();
  expect(started.sent).toBe(1);
  dispatcher.change("net.http_host_settings");
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: 1, queued: 1 });
  expect(dispatcher.state.stalled).toBe("no request starts until the settings of hosts are read");
  started.configureHosts(false);
  expect(started.sent).toBe(1);
  started.configureHosts();
  expect({ sent: started.sent, stalled: dispatcher.state.stalled }).toEqual({ sent: 2, stalled: null });
  // A host without an answer would have no place for a third.
  started.answer(ANSWERED);
  clock.advance(1_000);
  await turn();
  dispatcher.change("net.http_host_settings");
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  clock.advance(999);
  await turn();
  expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: 2, queued: 1 });
  clock.advance(1);
  await turn();
  expect(started.sent).toBe(3);
});

test("P3: a leader that was not heard for the fence's time starts nothing, and goes on at once when it is heard", async () => {
  await using started = new Started();
  const { dispatcher, clock, events } = started;
  await started.lead();
  started.configureHosts();
  expect(started.sent).toBe(1);
  clock.advance(FENCE_MS + 1);
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: 1, queued: 1 });
  expect(dispatcher.state.stalled).toBe("no request starts until the database is heard again");
  dispatcher.heard(clock.now());
  expect({ sent: started.sent, stalled: dispatcher.state.stalled }).toEqual({ sent: 2, stalled: null });
});

test("P2: while results cannot be written no request starts, and where they can again it goes on at once", async () => {
  await using started = new Started();
  const { dispatcher, events } = started;
  await started.lead();
  started.configureHosts();
  events.emit({ kind: "writable", why: "permission denied" });
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: 1, queued: 1 });
  expect(dispatcher.state.stalled).toBe("no request starts, since results cannot be written: permission denied");
  events.emit({ kind: "writable", why: null });
  expect({ sent: started.sent, stalled: dispatcher.state.stalled }).toEqual({ sent: 2, stalled: null });
});

test.each([
  ["one that was promoted in its place", { ...SERVER, timeline: 2 }],
  ["one that was restored or initialized again", { ...SERVER, systemId: "2" }],
  ["an earlier copy of its files", { ...SERVER, end: lsn(4_999n) }],
])("P2: with %s nothing of the server before counts: neither its connections nor its positions", async (_, next) => {
  await using started = new Started();
  const { dispatcher } = started;
  const first = { ...SERVER, end: lsn(5_000n) };
  const accepted: number[] = [];
  for (const [server, commitLsn] of [
    [first, 5_000n],
    [first, 5_000n],
    [next, 300n],
    [next, 300n],
  ] as const) {
    await started.lead(server);
    const before = dispatcher.state.inMemory;
    dispatcher.begin({ xid: lowXid(9n), commitLsn: lsn(commitLsn) });
    dispatcher.insert("net.http_request_queue", { ...ROW, id: String(1_000 + accepted.length) });
    dispatcher.commit();
    accepted.push(dispatcher.state.inMemory - before);
    dispatcher.lost();
  }
  // A position that was received before says that the sweep has its rows; another server writes others there.
  expect({ accepted, reconnected: started.reconnected }).toEqual({ accepted: [1, 0, 1, 0], reconnected: 1 });
});

test("P8: on standby at a server promoted meanwhile, results wait no more for transactions of the server before", async () => {
  await using started = new Started();
  const { dispatcher } = started;
  const before = SERVER;
  await started.lead(before);
  started.configureHosts();
  dispatcher.begin({ xid: lowXid(9n), commitLsn: lsn(100n) });
  dispatcher.insert("net.http_request_queue", { ...ROW, id: "1000" });
  dispatcher.commit();
  started.answer(ANSWERED);
  await turn();
  const [inserter] = started.inserters;
  dispatcher.lost();
  dispatcher.standby(null, before);
  expect({ isOver: inserter?.history.aborted, reconnected: started.reconnected }).toEqual({
    isOver: false,
    reconnected: 0,
  });
  const promoted = { ...SERVER, timeline: 2 };
  dispatcher.standby(null, promoted);
  expect({ isOver: inserter?.history.aborted, reconnected: started.reconnected }).toEqual({
    isOver: true,
    reconnected: 1,
  });
  // Nothing else is over when it leads there.
  await started.lead(promoted);
  expect(started.reconnected).toBe(1);
});

test("P2: settings of hosts are read again when what was in progress as the stream began is visible", async () => {
  await using started = new Started();
  const { clock } = started;
  started.snapshot = { xmin: 5n, xmax: 9n, inProgress: new Set([5n]) };
  await started.lead();
  clock.advance(1_000);
  await turn();
  expect(started.changed).toEqual([]);
  started.snapshot = { xmin: 9n, xmax: 9n, inProgress: new Set() };
  clock.advance(1_000);
  await turn();
  await turn();
  expect(started.changed).toEqual(["net.http_host_settings"]);
});

test("P7: settings of hosts that changed are read at once, and again when their transaction is visible", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  await started.lead();
  started.configureHosts();
  started.changed.splice(0);
  dispatcher.begin({ xid: lowXid(8n), commitLsn: lsn(100n) });
  dispatcher.insert("net.http_host_settings", {});
  dispatcher.commit();
  expect(started.changed).toEqual(["net.http_host_settings"]);
  clock.advance(1_000);
  await turn();
  await turn();
  expect(started.changed).toEqual(["net.http_host_settings", "net.http_host_settings"]);
});

test("P7: settings of hosts that changed are not taken for visible by a sweep that does not see their transaction", async () => {
  await using started = new Started();
  const { dispatcher, clock, events } = started;
  await started.lead();
  started.configureHosts();
  started.changed.splice(0);
  started.snapshot = { xmin: 8n, xmax: 10n, inProgress: new Set([8n]) };
  dispatcher.begin({ xid: lowXid(8n), commitLsn: lsn(100n) });
  dispatcher.insert("net.http_host_settings", {});
  dispatcher.commit();
  const { inMemory } = dispatcher.state;
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  expect(dispatcher.state.inMemory).toBe(inMemory + 1);
  expect(started.changed).toEqual(["net.http_host_settings"]);
  started.snapshot = { xmin: 10n, xmax: 10n, inProgress: new Set() };
  clock.advance(1_000);
  await turn();
  await turn();
  expect(started.changed).toEqual(["net.http_host_settings", "net.http_host_settings"]);
});

test("P8: what is updated or deleted in the outbox, as wal2json brings it, has nothing read", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  await started.lead();
  clock.advance(1_000);
  await turn();
  const before = started.read;
  for (let deleted = 0; deleted < 10; deleted++) {
    dispatcher.begin({ xid: lowXid(8n), commitLsn: lsn(2_000n + BigInt(deleted)) });
    dispatcher.change("net.http_request_queue");
    dispatcher.commit();
    clock.advance(100);
    await turn();
  }
  expect(started.read).toEqual(before);
  dispatcher.begin({ xid: lowXid(8n), commitLsn: lsn(3_000n) });
  dispatcher.change("net.http_host_settings");
  dispatcher.commit();
  clock.advance(100);
  await turn();
  await turn();
  expect(started.read).toEqual({ sweeps: before.sweeps + 1, snapshots: before.snapshots + 1 });
});

test("P2: settings of hosts that changed are read with each sweep after which every lane is behind", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  started.isWhole = false;
  await started.lead();
  for (let sweeps = 0; sweeps < 3; sweeps++) {
    started.changed.splice(0);
    dispatcher.heard(clock.now());
    clock.advance(1_000);
    await turn();
    expect(started.changed).toContain("net.http_host_settings");
  }
});

test("P7: without a stream the settings of hosts are read with each sweep, whatever transaction is open", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  started.snapshot = { xmin: 5n, xmax: 9n, inProgress: new Set([5n]) };
  dispatcher.leading(SERVER);
  for (let seconds = 1; seconds <= 3; seconds++) {
    dispatcher.heard(clock.now());
    await turn();
    expect(started.polled).toBe(seconds);
    clock.advance(1_000);
    await turn();
  }
});

test("P8: a request whose row is gone has the outbox read soon, and not at once for each", async () => {
  await using started = new Started();
  const { dispatcher, clock, events } = started;
  await started.lead();
  const { queued } = dispatcher.state;
  for (let gone = 0; gone < 10; gone++) {
    events.emit({ kind: "gone" });
    clock.advance(1);
    await turn();
  }
  expect(dispatcher.state.queued - queued).toBe(0);
  clock.advance(50);
  await turn();
  expect(dispatcher.state.queued - queued).toBe(1);
});
