import { expect, test } from "vitest";
import { hasEnded, isDecided, parseSnapshot, sees } from "../../src/pg/snapshot.ts";
import { lowXid } from "../../src/pg/xid.ts";

test.each([
  ["10:10:", { xmin: 10n, xmax: 10n, inProgress: new Set() }],
  ["10:20:12", { xmin: 10n, xmax: 20n, inProgress: new Set([12n]) }],
  [
    "4294967290:4294967311:4294967295,4294967310",
    { xmin: 4_294_967_290n, xmax: 4_294_967_311n, inProgress: new Set([4_294_967_295n, 4_294_967_310n]) },
  ],
])("the snapshot %s is read", (text, snapshot) => {
  expect(parseSnapshot(text)).toEqual(snapshot);
});

test.each(["", "10:20", "10:20:12,", "10:20:,12", "10:20:a", "10:20:12,a", ":20:", "10::", " 10:20:", "10:20:12 "])(
  "%j is no snapshot",
  (text) => {
    expect(() => parseSnapshot(text)).toThrow(RangeError);
  },
);

test.each([
  ["below xmin", 9n, true],
  ["at xmin", 10n, true],
  ["in the list", 12n, false],
  ["between the bounds and not in the list", 13n, true],
  ["at xmax", 20n, false],
  ["above xmax", 21n, false],
])("P2, P3: of a transaction %s, %s, a snapshot knows whether it has ended: %s", (_where, id, ended) => {
  const snapshot = parseSnapshot("10:20:12");
  expect([hasEnded(snapshot, id), sees(snapshot, lowXid(id))]).toEqual([ended, ended]);
});

test("the list of a snapshot counts within its bounds alone", () => {
  expect(hasEnded({ xmin: 10n, xmax: 20n, inProgress: new Set([9n]) }, 9n)).toBe(true);
});

test("P2, P3: transactions are told apart where their low 32 bits wrap", () => {
  const snapshot = parseSnapshot("4294967290:4294967311:4294967295,4294967310");
  const seen = [4_294_967_289n, 4_294_967_295n, 4_294_967_296n, 4_294_967_310n, 4_294_967_311n].map((id) =>
    sees(snapshot, lowXid(id)),
  );
  expect(seen).toEqual([true, false, true, false, false]);
});

test("P2: a transaction of a history that is over is decided, whether it is seen or not", () => {
  const snapshot = parseSnapshot("10:20:12");
  const isDecidedWith = (history: AbortSignal): boolean => isDecided(snapshot, { xid: lowXid(12n), history });
  expect([isDecidedWith(new AbortController().signal), isDecidedWith(AbortSignal.abort())]).toEqual([false, true]);
});
