import fc from "fast-check";
import { expect, test } from "vitest";

import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import { Backlog, type Pending, UNTRIED } from "../../src/results/backlog.ts";
import type { Completion } from "../../src/results/completion.ts";
import { requestOf } from "../support/http-peer.ts";

const outcome: Outcome = {
  kind: "failed",
  code: "dns",
  message: "",
  maybeReceived: false,
  timings: { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 },
};

function pending(id: number, kind: Completion["kind"], bytes: number): Pending {
  const request = requestOf("http://a/", { id: BigInt(id) });
  const completion: Completion =
    kind === "deferred" ? { kind, request, outcome, delayMs: 1 } : { kind, request, outcome };
  return { completion, insertedBy: null, bytes, memory: UNBOUNDED, ...UNTRIED };
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      push: fc.array(
        fc.record({ kind: fc.constantFrom("answered", "dead", "deferred"), bytes: fc.integer({ min: 1, max: 60 }) }),
        {
          maxLength: 40,
        },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      take: fc.record({ rows: fc.integer({ min: 1, max: 9 }), bytes: fc.integer({ min: 1, max: 100 }) }),
      back: fc.boolean(),
    }),
  },
);

test("every completion is taken once, in order within its kind, in batches of one kind within the bounds", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const backlog = new Backlog();
      const pushed: Pending[] = [];
      const taken: Pending[] = [];
      for (const one of steps) {
        if ("push" in one) {
          for (const { kind, bytes } of one.push) {
            const item = pending(pushed.length, kind, bytes);
            pushed.push(item);
            backlog.push(item);
          }
          continue;
        }
        const batch = backlog.take(one.take);
        expect(batch.length).toBeLessThanOrEqual(one.take.rows);
        expect(new Set(batch.map(({ completion }) => completion.kind)).size).toBeLessThanOrEqual(1);
        const bytes = batch.reduce((sum, item) => sum + item.bytes, 0);
        expect(batch.length <= 1 || bytes <= one.take.bytes).toBe(true);
        expect(batch.length > 0 || taken.length === pushed.length).toBe(true);
        if (one.back) backlog.putBack(batch);
        else taken.push(...batch);
      }
      for (
        let batch = backlog.take({ rows: 5, bytes: 50 });
        batch.length > 0;
        batch = backlog.take({ rows: 5, bytes: 50 })
      ) {
        taken.push(...batch);
      }
      for (const kind of ["answered", "dead", "deferred"] as const) {
        const of = (items: readonly Pending[]) => items.filter(({ completion }) => completion.kind === kind);
        expect(of(taken)).toEqual(of(pushed));
      }
    }),
  );
});

test("P6: large answers are apart from others, and left where the slot they may have is used", () => {
  const backlog = new Backlog();
  const bounds = { rows: 9, bytes: 4_000_000 };
  const ids = (batch: readonly Pending[]): bigint[] => batch.map(({ completion }) => completion.request.id);
  for (const [id, bytes] of [3_000_000, 100, 2_000_000, 100, 1_500_000, 100].entries())
    backlog.push(pending(id, "answered", bytes));
  expect(ids(backlog.take(bounds, false))).toEqual([1n, 3n, 5n]);
  expect(backlog.take(bounds, false)).toEqual([]);
  const first = backlog.take(bounds);
  expect(ids(first)).toEqual([0n]);
  backlog.putBack(first);
  expect(ids(backlog.take(bounds))).toEqual([0n]);
  expect(ids(backlog.take(bounds))).toEqual([2n, 4n]);
});
