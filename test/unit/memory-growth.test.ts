import { expect, test } from "vitest";
import { toError } from "../../src/base/errors.ts";
import { serve } from "../../src/cli/serving.ts";
import { readConfig } from "../../src/config/load.ts";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { HeartbeatMeter } from "../../src/metrics/heartbeat.ts";
import { RequestMeter } from "../../src/metrics/request-meter.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import { Backlog, type Pending, UNTRIED } from "../../src/results/backlog.ts";
import type { Completion } from "../../src/results/completion.ts";
import { HostScheduler } from "../../src/sending/host-scheduler.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FREE } from "../support/hosts-lab.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";
import { testSender } from "../support/test-sender.ts";
import { liveBytes } from "../support/live-heap.ts";
import { turn } from "../support/world-referee.ts";

const MIB = 1024 * 1024;
/** Each takes a second or so, more on a busy machine. */
const SLOW = { timeout: 60_000 };
const KINDS = ["answered", "dead", "deferred"] as const;
const outcome = {
  kind: "failed",
  code: "dns",
  message: "",
  maybeReceived: false,
  timings: { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 },
} as const;

/** The live bytes that `work(count)` adds from its first tenth to its end. */
async function growth(count: number, work: (from: number, to: number) => Promise<void>): Promise<number> {
  await work(0, count / 10);
  const early = await liveBytes();
  await work(count / 10, count);
  return (await liveBytes()) - early;
}

test(
  "P5: of 300,000 requests with bodies, each of a lane of its own, nothing is held once they ended, while those of their host never cease to wait",
  SLOW,
  async () => {
    const ended: Completion[] = [];
    const sender = testSender(
      { send: async () => outcome, results: { write: (completion) => ended.push(completion) } },
      {
        memory: { requests: 10_000, bytes: 64 * MIB, perLane: 4_000 },
        concurrency: { total: 256, perHost: 256 },
        perSecond: "unlimited",
      },
    );
    const row = (id: number): OutboxRow => ({
      request: requestOf("http://a/", { id: BigInt(id), body: Buffer.alloc(1_024), bytes: 1_600 }),
      defect: null,
      isForeign: false,
      nextAttemptAt: null,
      lane: `tenant ${id}`,
      host: "a",
    });
    const accept = (one: OutboxRow): void => {
      expect(sender.hold(one.lane, one.request.bytes)).toBe(true);
      sender.accept(one, null);
    };
    let next = 0;
    const grown = await growth(300_000, async (_from, to) => {
      while (next < to) {
        while (sender.queued < 1_000) accept(row(next++));
        sender.start();
        await turn();
        sender.settled(ended.splice(0));
      }
    });
    expect([sender.inMemory, sender.queued > 0]).toEqual([sender.queued, true]);
    expect(grown / MIB).toBeLessThan(8);
  },
);

test("P5: of 12,000 answers nothing is held once they were taken, while others never cease to wait", SLOW, async () => {
  const backlog = new Backlog();
  const pending = (id: number): Pending => {
    const request = requestOf("http://a/", { id: BigInt(id), body: Buffer.alloc(8_192) });
    const kind = KINDS[id % 3] ?? "answered";
    const completion: Completion =
      kind === "deferred" ? { kind, request, outcome, delayMs: 1 } : { kind, request, outcome };
    return {
      completion,
      insertedBy: null,
      bytes: 8_192,
      memory: UNBOUNDED,
      ...UNTRIED,
    };
  };
  for (let id = 0; id < 30; id++) backlog.push(pending(id));
  const grown = await growth(12_000, async (from, to) => {
    for (let id = from; id < to; id += 10) {
      for (let one = 0; one < 10; one++) backlog.push(pending(id + one));
      expect(backlog.take({ rows: 10, bytes: Infinity })).toHaveLength(10);
    }
  });
  expect(grown / MIB).toBeLessThan(8);
});

test("P5: of 200,000 hosts of which one request ended each, few are remembered", SLOW, async () => {
  const hosts = new HostScheduler({ total: 256, perHost: 64, bytes: MIB, largeFrom: MIB, perSecond: 200 }, () => null);
  const grown = await growth(200_000, async (from, to) => {
    for (let host = from; host < to; host++) {
      const request = requestOf("http://a/", { id: BigInt(host) });
      hosts.add({ request, insertedBy: null, host: `host${host}`, lane: `host${host}` }, host);
      const flight = hosts.start(FREE, host);
      if (flight === null) throw new Error("nothing starts");
      hosts.finish(flight, true, host);
    }
  });
  expect(grown / MIB).toBeLessThan(4);
});

test("P5: of 40,000 destinations of which an answer waited for memory each, none is remembered", SLOW, async () => {
  const bounds = { bytes: 64 * MIB, largest: 10 * MIB, inFlight: 256, requests: 10_000 };
  const budget = new AnswerBudget({ bounds, clock: new FakeClock(), onRoom: () => undefined });
  const decoding = (host: string): { readonly hasGoneOn: boolean; release(): void } => {
    const memory = budget.open(host);
    let hasGoneOn = false;
    memory.decodeInTurn({ goOn: () => (hasGoneOn = true) });
    return {
      get hasGoneOn() {
        return hasGoneOn;
      },
      release: () => memory.release(),
    };
  };
  const grown = await growth(20_000, async (from, to) => {
    for (let host = from; host < to; host++) {
      const [first, second] = [decoding(`first ${host}`), decoding(`second ${host}`)];
      await turn();
      expect([first.hasGoneOn, second.hasGoneOn]).toEqual([true, false]);
      second.release();
      first.release();
    }
  });
  expect(grown / MIB).toBeLessThan(2);
});

test("P5: of a daemon that fails as it takes over nothing is held, while the one before it goes on", SLOW, async () => {
  const { config, sources } = readConfig({ env: { DATABASE_URL: "postgres://localhost/app" } });
  const loaded = { sources, config: { ...config, database: { ...config.database, url: "no url" } } };
  const stop = new AbortController();
  const why = new Set<string>();
  const grown = await growth(5_000, async (from, to) => {
    for (let index = from; index < to; index++) {
      const meters = { database: "app", requests: new RequestMeter(1), heartbeats: new HeartbeatMeter() };
      const options = { loaded, log: silentLog, meters, restart: () => undefined, renew: () => undefined };
      await serve({ ...options, stop: stop.signal, handover: null }).ended.catch((error: unknown) =>
        why.add(toError(error).message),
      );
    }
  });
  expect(why).toEqual(new Set(["Invalid URL"]));
  expect(grown).toBeLessThan(MIB);
});
