import { expect, test } from "vitest";

import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { Hosts } from "../../src/dispatch/hosts.ts";
import { Sender } from "../../src/dispatch/sender.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import { Backlog, type Pending } from "../../src/results/backlog.ts";
import type { Ending } from "../../src/results/ending.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";
import { liveBytes } from "../support/live-heap.ts";
import { turn } from "../support/world-referee.ts";
import { UNBOUNDED_ANSWERS } from "../support/unbounded-answers.ts";

const MIB = 1024 * 1024;
/** Each takes a second or so, more on a busy machine. */
const SLOW = { timeout: 60_000 };
const KINDS = ["answered", "dead", "parked"] as const;
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
  "P5: of 300,000 requests with bodies nothing is held once they ended, while those of their host never cease to wait",
  SLOW,
  async () => {
    const ended: Ending[] = [];
    const permits = { isFree: () => true, tryTake: () => true };
    const sender = new Sender(
      {
        http: { send: async () => outcome },
        results: { write: (ending) => ended.push(ending) },
        outbox: { recall: async () => undefined },
        answers: UNBOUNDED_ANSWERS,
        rate: permits,
        rateOf: () => null,
        clock: new FakeClock(),
        log: silentLog,
        random: () => 0,
      },
      { memory: { requests: 10_000, bytes: 64 * MIB, waiting: 4_000 }, concurrency: { total: 256, perHost: 256 } },
    );
    const row = (id: number): OutboxRow => ({
      request: requestOf("http://a/", { id: BigInt(id), body: Buffer.alloc(1_024) }),
      defect: null,
      nextAttemptAt: null,
    });
    let next = 0;
    const grown = await growth(300_000, async (_from, to) => {
      while (next < to) {
        while (sender.waiting < 1_000) sender.take(row(next++), null);
        sender.start();
        await turn();
        sender.settled(ended.splice(0));
      }
    });
    expect([sender.inMemory, sender.waiting > 0]).toEqual([sender.waiting, true]);
    expect(grown / MIB).toBeLessThan(8);
  },
);

test("P5: of 12,000 answers nothing is held once they were taken, while others never cease to wait", SLOW, async () => {
  const backlog = new Backlog();
  const pending = (id: number): Pending => {
    const request = requestOf("http://a/", { id: BigInt(id), body: Buffer.alloc(8_192) });
    const kind = KINDS[id % 3] ?? "answered";
    const ending: Ending = kind === "parked" ? { kind, request, outcome, delayMs: 1 } : { kind, request, outcome };
    return { ending, insertedBy: null, bytes: 8_192, memory: UNBOUNDED, refusal: null, refusals: 0, longFailures: 0 };
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

test.each([
  ["hosts", 50_000, 2],
  ["requests", 100, 20_000],
])("P5: however many %s are parked, no more of them are remembered", SLOW, async (_what, count, each) => {
  const hosts = new Hosts({ total: 256, perHost: 64, bytes: MIB }, () => null);
  let id = 0n;
  const grown = await growth(count, async (from, to) => {
    for (let host = from; host < to; host++) {
      for (let one = 0; one < each; one++) {
        id += 1n;
        hosts.park({ request: requestOf("http://a/", { id }), insertedBy: null, host: `host${host}` }, 0);
      }
      if (host % 1_000 === 0) hosts.shed(0, false);
    }
    hosts.shed(0, false);
  });
  expect(hosts.isBusy).toBe(true);
  expect(grown / MIB).toBeLessThan(16);
});
