import { expect, test } from "vitest";
import { StreamStall } from "../../src/intake/stream-stall.ts";
import { lsn } from "../../src/pg/lsn.ts";

/** The receipt of a transaction began at 1,000 ms, and went on for longer than that of a small one. */
function receivingLarge(): StreamStall {
  const stall = new StreamStall();
  stall.begin(1_000);
  stall.received(1_021);
  return stall;
}

test("P6: a transaction that is received for more than 20 ms is a stall from its beginning, noticed once", () => {
  const stall = new StreamStall();
  expect([stall.received(1_000), stall.since]).toEqual([false, null]);
  stall.begin(1_000);
  expect([stall.received(1_020), stall.since]).toEqual([false, null]);
  expect([stall.received(1_021), stall.since]).toEqual([true, 1_000]);
  expect([stall.received(1_050), stall.since]).toEqual([false, 1_000]);
});

test("P6: after a transaction of more than 100 ms the stall goes on, whatever short ones follow", () => {
  const short = receivingLarge();
  short.commit(1_100);
  expect(short.since).toBeNull();
  const long = receivingLarge();
  long.commit(1_101);
  long.begin(1_102);
  long.commit(1_103);
  expect(long.since).toBe(1_000);
});

test("P6: a stall that was noticed began when it did, whatever the server is asked meanwhile", () => {
  const stall = receivingLarge();
  stall.asked(1_030);
  expect(stall.since).toBe(1_000);
});

test("a server that answers in time is not stalled, though the outbox was swept meanwhile", () => {
  const stall = new StreamStall();
  stall.asked(1_000);
  stall.swept(1_099, lsn(1_000_000n));
  stall.answered(1_099, lsn(0n));
  expect(stall.since).toBeNull();
});

test("P6: a sweep from before a stall says nothing of its end", () => {
  const stall = new StreamStall();
  stall.swept(900, lsn(1_000_000n));
  stall.asked(1_000);
  stall.swept(1_100, lsn(3_000_000n));
  stall.answered(1_200, lsn(2_000_000n));
  expect(stall.since).toBe(1_100);
});

test("P6: a stall ends where the stream is less than a page's header before what was swept", () => {
  const since = [1_000_000n - 8_193n, 1_000_000n - 8_192n].map((position) => {
    const stall = new StreamStall();
    stall.asked(1_000);
    stall.swept(1_100, lsn(1_000_000n));
    stall.answered(1_200, lsn(0n));
    stall.asked(1_600);
    stall.answered(1_601, lsn(position));
    return stall.since;
  });
  expect(since).toEqual([1_100, null]);
});

test("P6: the time of an answer counts from the first question", () => {
  const stall = new StreamStall();
  stall.asked(1_000);
  stall.asked(1_090);
  expect(stall.since).toBe(1_100);
});

test("P6: what was not asked for is no answer", () => {
  const stall = new StreamStall();
  stall.answered(900, lsn(0n));
  stall.asked(1_000);
  expect(stall.since).toBe(1_100);
});

test("P6: a server has twice the time of its quickest answer", () => {
  const stall = new StreamStall();
  const allowed = [200, 60, 300].map((answerMs, nth) => {
    const at = 10_000 * (nth + 1);
    stall.asked(at);
    stall.answered(at + answerMs, lsn(0n));
    stall.asked(at + 1_000);
    const { since } = stall;
    stall.answered(at + 1_000 + answerMs, lsn(0n));
    return since === null ? null : since - at - 1_000;
  });
  expect(allowed).toEqual([400, 120, 120]);
});
