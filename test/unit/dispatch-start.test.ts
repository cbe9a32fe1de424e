import { expect, test } from "vitest";
import { Dispatcher } from "../../src/dispatch/dispatcher.ts";
import { DispatcherEvents } from "../../src/dispatch/events.ts";
import type { SweepResult } from "../../src/outbox/sweep.ts";
import { lsn } from "../../src/pg/lsn.ts";
import { lowXid } from "../../src/pg/xid.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
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
const quiet = (): void => undefined;

/** A dispatcher whose outbox has one more request at each sweep, and whose requests never end. */
class Started implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly events = new DispatcherEvents();
  readonly dispatcher: Dispatcher;
  sent = 0;
  /** Tables whose change was reported, each time. */
  readonly changed: string[] = [];
  /** How often the settings of hosts were to be read for want of a stream. */
  polled = 0;
  snapshot = FOUND.snapshot;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor() {
    let swept = 0n;
    const sweep = async (): Promise<SweepResult> => {
      const request = requestOf("http://a/", { id: ++swept });
      return {
        ...FOUND,
        snapshot: this.snapshot,
        rows: [{ request, defect: null, nextAttemptAt: null, lane: "a", host: "a" }],
      };
    };
    const send = async (): Promise<never> => {
      this.sent++;
      return new Promise(quiet);
    };
    this.dispatcher = new Dispatcher(
      {
        events: this.events,
        outbox: { sweep, snapshot: async () => this.snapshot },
        reconnect: quiet,
        http: { send, expire: () => false },
        results: { write: quiet },
        answers: UNBOUNDED_ANSWERS,
        rate: { isFree: () => true, tryTake: () => true },
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
        rowDefaults: { maxRedirects: 5 },
        fenceMs: FENCE_MS,
        outboxTable: "net.http_request_queue",
      },
    );
    this.#ended = this.dispatcher.run(this.#stop.signal);
  }

  /** Leads with a stream, and sweeps once. */
  async lead(): Promise<void> {
    this.dispatcher.leading({ systemId: "1", timeline: 1 });
    this.dispatcher.heard(this.clock.now());
    this.dispatcher.streaming();
    await turn();
  }

  configureHosts(): void {
    this.events.emit({ kind: "hosts-configured", settings: new Map() });
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
  events.emit({ kind: "writable", ok: false, why: "permission denied" });
  events.emit({ kind: "read-outbox", when: "now" });
  await turn();
  expect({ sent: started.sent, queued: dispatcher.state.queued }).toEqual({ sent: 1, queued: 1 });
  expect(dispatcher.state.stalled).toBe("no request starts, since results cannot be written: permission denied");
  events.emit({ kind: "writable", ok: true, why: null });
  expect({ sent: started.sent, stalled: dispatcher.state.stalled }).toEqual({ sent: 2, stalled: null });
});

test("P7: settings of hosts that changed are read at once, and again when their transaction is visible", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  await started.lead();
  started.configureHosts();
  dispatcher.begin({ xid: lowXid(8n), commitLsn: lsn(100n) });
  dispatcher.insert("net.http_host_settings", {});
  dispatcher.commit();
  expect(started.changed).toEqual(["net.http_host_settings"]);
  clock.advance(1_000);
  await turn();
  await turn();
  expect(started.changed).toEqual(["net.http_host_settings", "net.http_host_settings"]);
});

test("P7: without a stream the settings of hosts are read with each sweep, whatever transaction is open", async () => {
  await using started = new Started();
  const { dispatcher, clock } = started;
  started.snapshot = { xmin: 5n, xmax: 9n, inProgress: new Set([5n]) };
  dispatcher.leading({ systemId: "1", timeline: 1 });
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
