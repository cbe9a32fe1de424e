import { expect, test } from "vitest";

import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { type Pending, UNTRIED } from "../../src/results/backlog.ts";
import { Doubtful } from "../../src/results/doubtful.ts";
import { requestOf } from "../support/http-peer.ts";
import { ANSWERED } from "../support/sender-lab.ts";

const BOUNDS = { rows: 500, bytes: 1_000 };
let id = 0n;

function pending(host: string, kind: "answered" | "dead" = "answered"): Pending {
  id += 1n;
  const completion = { kind, request: requestOf(`http://${host}/`, { id }), outcome: ANSWERED };
  return { completion, insertedBy: null, bytes: 10, memory: UNBOUNDED, ...UNTRIED };
}

const many = (count: number, host: string): Pending[] => Array.from({ length: count }, () => pending(host));

test("P6: a batch of several hosts that failed is tried host by host, and what comes of these meanwhile behind it", () => {
  const doubtful = new Doubtful();
  const [a, b, later] = [many(3, "a"), many(2, "b"), pending("a")];
  expect(doubtful.has(later)).toBe(false);
  doubtful.doubt([a[0], b[0], a[1], b[1], a[2]].flatMap((item) => item ?? []));
  expect([doubtful.has(later), doubtful.has(pending("c"))]).toEqual([true, false]);
  doubtful.push(later);
  expect([doubtful.take(BOUNDS), doubtful.take(BOUNDS), doubtful.take(BOUNDS), doubtful.take(BOUNDS)]).toEqual([
    a,
    b,
    [later],
    [],
  ]);
});

test("P6: what failed once more is halved, and others have their turn before it; what succeeds is doubled", () => {
  const doubtful = new Doubtful();
  const [a, b] = [many(10, "a"), many(1, "b")];
  doubtful.doubt([...a, ...b]);
  expect(doubtful.take(BOUNDS)).toEqual(a);
  doubtful.doubt(a);
  expect(doubtful.take(BOUNDS)).toEqual(b);
  const sizes: number[] = [];
  for (let batch = doubtful.take(BOUNDS); batch.length > 0; batch = doubtful.take(BOUNDS)) {
    sizes.push(batch.length);
    if (sizes.length < 3) doubtful.doubt(batch);
    else {
      doubtful.succeeded(batch);
      doubtful.settled(batch);
    }
  }
  expect(sizes).toEqual([5, 3, 2, 4, 4]);
});

test("a host is doubtful until nothing of it is unsettled, be it in a statement or kept", () => {
  const doubtful = new Doubtful();
  const items = many(2, "a");
  doubtful.doubt(items);
  const [first, second] = [doubtful.take(BOUNDS), doubtful.take(BOUNDS)];
  doubtful.settled([...first, ...many(5, "a")]);
  expect(doubtful.has(pending("a"))).toBe(true);
  doubtful.putBack(second);
  expect(doubtful.take(BOUNDS)).toEqual(second);
  doubtful.settled(second);
  expect(doubtful.has(pending("a"))).toBe(false);
});

test("a statement has one kind, and no more rows and bytes than others", () => {
  const doubtful = new Doubtful();
  const items = [pending("a"), pending("a"), pending("a", "dead"), pending("a")];
  doubtful.doubt([...items, ...many(1, "b")]);
  const sizes = [{ ...BOUNDS, rows: 1 }, { ...BOUNDS, bytes: 15 }, BOUNDS, BOUNDS, BOUNDS, BOUNDS].map(
    (bounds) => doubtful.take(bounds).length,
  );
  expect(sizes).toEqual([1, 1, 1, 1, 1, 0]);
});

test("P6: what was kept is tried apart from what comes meanwhile of its host, and in larger batches as it succeeds", () => {
  const doubtful = new Doubtful();
  const [kept, fresh] = [many(7, "a"), many(9, "a")];
  doubtful.doubt([...kept, ...many(1, "b")]);
  expect(doubtful.take(BOUNDS)).toEqual(kept);
  doubtful.take(BOUNDS);
  for (const item of kept) {
    doubtful.kept(item);
    item.refusals += 1;
  }
  for (const item of [...kept, ...fresh]) doubtful.push(item);
  const batches: Pending[][] = [];
  for (let batch = doubtful.take(BOUNDS); batch.length > 0; batch = doubtful.take(BOUNDS)) {
    batches.push(batch);
    if (batch.some(({ refusals }) => refusals > 0)) doubtful.succeeded(batch);
  }
  expect(batches.map((batch) => batch.length)).toEqual([1, 7, 2, 2, 4]);
  expect(batches.filter((batch) => new Set(batch.map(({ refusals }) => refusals)).size > 1)).toEqual([]);
});

test("what comes of a host is tried with others again once many of its rows succeeded at once, though some are always unsettled", () => {
  const doubtful = new Doubtful();
  const [last] = many(1, "a") as [Pending];
  doubtful.doubt([last]);
  doubtful.take(BOUNDS);
  let before = last;
  for (let round = 0; round < 9; round++) {
    const [next] = many(1, "a") as [Pending];
    expect(doubtful.has(next)).toBe(true);
    doubtful.push(next);
    doubtful.succeeded([before]);
    doubtful.settled([before]);
    expect(doubtful.take(BOUNDS)).toEqual([next]);
    before = next;
  }
  expect([doubtful.has(before), doubtful.has(pending("a"))]).toEqual([true, false]);
  doubtful.kept(before);
  expect(doubtful.has(pending("a"))).toBe(true);
  doubtful.settled([before]);
  expect(doubtful.has(pending("a"))).toBe(false);
});
