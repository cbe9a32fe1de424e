import { expect, test } from "vitest";
import type { Outcome } from "../../src/http/outcome.ts";
import type { SenderSettings } from "../../src/sending/parts.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import type { Completion } from "../../src/results/completion.ts";
import { requestOf } from "../support/http-peer.ts";
import { testSender } from "../support/test-sender.ts";
import { turn } from "../support/world-referee.ts";

const ONE_PLACE: SenderSettings = {
  memory: { requests: 10, bytes: 1e6, perLane: 10 },
  concurrency: { total: 1, perHost: 1 },
  perSecond: "unlimited",
};

test("P2: a row with the id of one whose completion is committed but not settled yet is read from the outbox then", async () => {
  const completions: Completion[] = [];
  let again = 0;
  const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
  const content = Buffer.alloc(0);
  const sender = testSender(
    {
      send: async () => ({ kind: "answered", status: 500, headers: [], contentType: null, content, timings }),
      results: { write: (completion) => completions.push(completion) },
      events: { seenAgain: () => (again += 1) },
    },
    ONE_PLACE,
  );
  const row = (created: string): OutboxRow => ({
    request: requestOf("http://a/", { id: 7n, created }),
    defect: null,
    isForeign: false,
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
  const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
  const shortage: Outcome = {
    kind: "failed",
    code: "shortage",
    message: "",
    detail: "EMFILE",
    maybeReceived: false,
    timings,
  };
  const stored: number[] = [];
  const nothing = (): void => undefined;
  const sender = testSender(
    {
      send: async () => shortage,
      results: { write: (completion) => completions.push(completion) },
      observer: { started: nothing, ended: nothing, stored: (tookMs) => stored.push(tookMs) },
    },
    ONE_PLACE,
  );
  const request = requestOf("http://a/", { id: 7n });
  expect(sender.hold("a", request.bytes)).toBe(true);
  sender.accept({ request, defect: null, isForeign: false, nextAttemptAt: null, lane: "a", host: "a" }, null);
  sender.start();
  await turn();
  expect(completions).toEqual([{ kind: "deferred", request, outcome: null, delayMs: 500 }]);
  sender.settled(completions);
  expect([sender.inFlight, sender.inMemory, stored]).toEqual([0, 0, [0]]);
});
