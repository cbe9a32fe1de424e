import fc from "fast-check";
import { expect, test } from "vitest";
import { lsn } from "../../src/pg/lsn.ts";
import { Confirmations, type Confirmed, QUIET_RESERVE_BYTES, RESERVE_BYTES } from "../../src/wal/confirmations.ts";

/** Confirmations of a stream that begins at 10,000. */
function open() {
  const confirmations = new Confirmations();
  confirmations.start(lsn(10_000n));
  const next = (received: bigint, what: Confirmed, now: number): bigint => confirmations.next(lsn(received), what, now);
  const sentAt = (confirmed: bigint): number | null => confirmations.sentAt(lsn(confirmed));
  return { confirmations, next, sentAt };
}

test("P4: what is confirmed stays behind what was received by the reserve, by a part of a record once nothing is written, and by nothing at the end", () => {
  const { next } = open();
  expect(next(20_000n, "busy", 1)).toBe(20_000n - RESERVE_BYTES);
  expect(next(20_000n, "quiet", 2)).toBe(20_000n - QUIET_RESERVE_BYTES);
  expect(next(20_000n, "everything", 3)).toBe(20_000n);
});

test("P4: the least record has more bytes than are not confirmed in a quiet log", () => {
  expect(QUIET_RESERVE_BYTES).toBeLessThan(24n);
});

test("P3: a position is the receipt for the status that confirmed it first", () => {
  const { next, sentAt } = open();
  const first = next(20_000n, "busy", 1);
  expect(next(20_000n, "busy", 2)).toBe(first);
  const second = next(20_000n, "another", 3);
  expect([second, sentAt(first), sentAt(second)]).toEqual([first + 1n, 1, 3]);
});

test("P3: what the slot shows from before the stream, and what was never confirmed, is no receipt", () => {
  const { next, sentAt } = open();
  expect(sentAt(10_000n)).toBeNull();
  next(10_001n, "another", 1);
  expect([sentAt(10_000n), sentAt(10_001n), sentAt(10_002n)]).toEqual([null, 1, null]);
});

test("P3: where everything is confirmed there is another position only when more is received", () => {
  const { confirmations, next, sentAt } = open();
  next(10_002n, "everything", 1);
  expect(confirmations.hasAnother(lsn(10_002n))).toBe(false);
  expect([next(10_002n, "another", 2), sentAt(10_002n)]).toEqual([10_002n, 1]);
  expect(confirmations.hasAnother(lsn(10_003n))).toBe(true);
  expect([next(10_003n, "another", 3), sentAt(10_003n)]).toEqual([10_003n, 3]);
});

test("P3: of thousands of confirmations the last are remembered", () => {
  const { next, sentAt } = open();
  for (let now = 1; now <= 5_000; now++) next(1_000_000n + BigInt(now), "busy", now);
  const last = 1_000_000n + 5_000n - RESERVE_BYTES;
  expect([sentAt(last), sentAt(last - 999n), sentAt(last - 1_000n)]).toEqual([5_000, 4_001, null]);
});

test("P4: never goes back, and never beyond what was received, whatever is asked for", () => {
  const asked = fc.record({
    more: fc.bigInt({ min: 0n, max: 3_000n }),
    what: fc.constantFrom<Confirmed>("busy", "quiet", "another", "everything"),
  });
  fc.assert(
    fc.property(fc.array(asked), (all) => {
      const { next } = open();
      let received = 10_000n;
      let before = 10_000n;
      for (const [now, { more, what }] of all.entries()) {
        received += more;
        const position = next(received, what, now);
        expect(position).toBeLessThanOrEqual(received);
        expect(received - position).toBeLessThanOrEqual(RESERVE_BYTES);
        const least = what === "another" && before < received ? before + 1n : before;
        expect(position).toBeGreaterThanOrEqual(least);
        before = position;
      }
    }),
  );
});
