import { expect, test } from "vitest";
import type { Outcome } from "../../src/http/outcome.ts";
import { Sender } from "../../src/sending/sender.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import type { Completion } from "../../src/results/completion.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";
import { UNBOUNDED_ANSWERS } from "../support/unbounded-answers.ts";

const quiet = (): void => undefined;

test("P2: a row with the id of one whose completion is committed but not settled yet is read from the outbox then", async () => {
  const completions: Completion[] = [];
  let again = 0;
  const permits = { isFree: () => true, tryTake: () => true };
  const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
  const content = Buffer.alloc(0);
  const sender = new Sender(
    {
      http: {
        send: async () => ({ kind: "answered", status: 500, headers: [], contentType: null, content, timings }),
        expire: () => false,
      },
      results: { write: (completion) => completions.push(completion) },
      answers: UNBOUNDED_ANSWERS,
      rate: permits,
      rateOf: () => null,
      clock: new FakeClock(),
      log: silentLog,
      random: () => 0,
      events: { ended: quiet, low: quiet, givenUp: quiet, seenAgain: () => (again += 1) },
    },
    {
      memory: { requests: 10, bytes: 1e6, perLane: 10 },
      concurrency: { total: 1, perHost: 1 },
      perSecond: "unlimited",
    },
  );
  const row = (created: string): OutboxRow => ({
    request: requestOf("http://a/", { id: 7n, created }),
    defect: null,
    nextAttemptAt: null,
    lane: "a",
    host: "a",
  });
  const accept = (one: OutboxRow): void => {
    expect(sender.hold(one.lane, one.request.bytes)).toBe(true);
    sender.accept(one, null);
  };
  accept(row("2026-11-21 09:20:32+00"));
  sender.start();
  await turn();
  expect(completions).toHaveLength(1);
  accept(row("2026-11-21 09:20:33+00"));
  expect([sender.inMemory, again]).toEqual([1, 0]);
  sender.settled(completions);
  expect([sender.inMemory, again]).toEqual([0, 1]);
});

test("P2: a request that could not be sent for want of resources waits in the outbox, with all its tries", async () => {
  const completions: Completion[] = [];
  const permits = { isFree: () => true, tryTake: () => true };
  const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
  const shortage: Outcome = {
    kind: "failed",
    code: "shortage",
    message: "",
    detail: "EMFILE",
    maybeReceived: false,
    timings,
  };
  const sender = new Sender(
    {
      http: { send: async () => shortage, expire: () => false },
      results: { write: (completion) => completions.push(completion) },
      answers: UNBOUNDED_ANSWERS,
      rate: permits,
      rateOf: () => null,
      clock: new FakeClock(),
      log: silentLog,
      random: () => 0,
      events: { ended: quiet, low: quiet, givenUp: quiet, seenAgain: quiet },
    },
    {
      memory: { requests: 10, bytes: 1e6, perLane: 10 },
      concurrency: { total: 1, perHost: 1 },
      perSecond: "unlimited",
    },
  );
  const request = requestOf("http://a/", { id: 7n });
  expect(sender.hold("a", request.bytes)).toBe(true);
  sender.accept({ request, defect: null, nextAttemptAt: null, lane: "a", host: "a" }, null);
  sender.start();
  await turn();
  expect(completions).toEqual([{ kind: "deferred", request, outcome: null, delayMs: 500 }]);
  sender.settled(completions);
  expect([sender.inFlight, sender.inMemory]).toEqual([0, 0]);
});
