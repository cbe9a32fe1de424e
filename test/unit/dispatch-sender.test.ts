import { expect, test } from "vitest";
import { hostOf, Sender } from "../../src/dispatch/sender.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import type { OutboxRow } from "../../src/outbox/row.ts";
import type { Ending } from "../../src/results/ending.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";
import { UNBOUNDED_ANSWERS } from "../support/unbounded-answers.ts";

test("P2: a row with the id of one whose ending is committed but not settled yet is read from the outbox then", async () => {
  const endings: Ending[] = [];
  const permits = { isFree: () => true, tryTake: () => true };
  const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
  const content = Buffer.alloc(0);
  const sender = new Sender(
    {
      http: { send: async () => ({ kind: "answered", status: 500, headers: [], contentType: null, content, timings }) },
      results: { write: (ending) => endings.push(ending) },
      outbox: { recall: async () => undefined },
      answers: UNBOUNDED_ANSWERS,
      rate: permits,
      rateOf: () => null,
      clock: new FakeClock(),
      log: silentLog,
      random: () => 0,
    },
    { memory: { requests: 10, bytes: 1e6, waiting: 10 }, concurrency: { total: 1, perHost: 1 } },
  );
  let recalled = 0;
  sender.recalled = () => {
    recalled += 1;
  };
  const row = (created: string): OutboxRow => ({
    request: requestOf("http://a/", { id: 7n, created }),
    defect: null,
    nextAttemptAt: null,
  });
  sender.take(row("2026-11-21 09:20:32+00"), null);
  sender.start();
  await turn();
  expect(endings).toHaveLength(1);
  sender.take(row("2026-11-21 09:20:33+00"), null);
  expect([sender.inMemory, recalled]).toEqual([1, 0]);
  sender.settled(endings);
  expect([sender.inMemory, recalled]).toEqual([0, 1]);
});

test("P2: a request that could not be sent for want of resources waits in the outbox, with all its tries", async () => {
  const endings: Ending[] = [];
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
      http: { send: async () => shortage },
      results: { write: (ending) => endings.push(ending) },
      outbox: { recall: async () => undefined },
      answers: UNBOUNDED_ANSWERS,
      rate: permits,
      rateOf: () => null,
      clock: new FakeClock(),
      log: silentLog,
      random: () => 0,
    },
    { memory: { requests: 10, bytes: 1e6, waiting: 10 }, concurrency: { total: 1, perHost: 1 } },
  );
  const request = requestOf("http://a/", { id: 7n });
  sender.take({ request, defect: null, nextAttemptAt: null }, null);
  sender.start();
  await turn();
  expect(endings).toEqual([{ kind: "parked", request, outcome: null, delayMs: 500 }]);
  sender.settled(endings);
  expect([sender.inFlight, sender.inMemory]).toEqual([0, 0]);
});

test.each([
  ["http://example.com/", "example.com"],
  ["https://u:p@EXAMPLE.com.:8443/a?b", "example.com"],
  ["http://127.0.0.1./", "127.0.0.1"],
  ["http://[::1]:80/", "[::1]"],
  ["not a url", ""],
])("P7: the host of %s is %s, with or without a trailing dot", (url, host) => {
  expect(hostOf(url)).toBe(host);
});
