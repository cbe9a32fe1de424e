import { expect, test } from "vitest";
import { SlotWatch } from "../../src/ops/slot-watch.ts";
import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { FailureLog } from "../../src/pg/failure-log.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import { type Pending, UNTRIED } from "../../src/results/backlog.ts";
import { AwaitingVisibility } from "../../src/results/awaiting-visibility.ts";
import { xid } from "../../src/pg/xid.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { recordedLog } from "../support/recorded-log.ts";
import { turn } from "../support/world-referee.ts";
import { STATUS_ROW } from "../support/status-row.ts";

const failure = (code: string): Error => Object.assign(new Error(`message of ${code}`), { code });

/** Fails with each of `codes`, one after the other, and then answers with `rows`. */
function failing(codes: readonly string[], rows: readonly object[]): Queryable & { readonly left: number } {
  const left = [...codes];
  return {
    get left() {
      return left.length;
    },
    query: (async () => {
      const code = left.shift();
      if (code !== undefined) throw failure(code);
      return { rows: [...rows], rowCount: rows.length };
    }) as Queryable["query"],
  };
}

const CODES = ["42501", "42501", "57014", "42501"];

test("a failure that comes again and again is logged once for each cause, and once when it is over", () => {
  const { log, lines } = recordedLog();
  const failures = new FailureLog(log, { failed: "it failed", succeeded: "it succeeded" });
  failures.succeeded();
  for (const code of [...CODES, "ECONNREFUSED"]) failures.failed(failure(code));
  failures.failed("something else");
  failures.succeeded();
  failures.succeeded();
  failures.failed(failure("42501"));
  const said = (code: string): object => ({ level: "warn", message: "it failed", code });
  expect(lines).toEqual([
    ...["42501", "57014", "ECONNREFUSED", "unknown"].map(said),
    { level: "info", message: "it succeeded", code: undefined },
    said("42501"),
  ]);
});

/** What must have been logged where `CODES` came and then no failure. */
function expectOncePerCause(lines: readonly object[], failed: RegExp): void {
  expect(lines).toEqual([
    { level: "warn", message: expect.stringMatching(failed) as string, code: "42501" },
    { level: "warn", message: expect.stringMatching(failed) as string, code: "57014" },
    { level: "info", message: expect.stringContaining("again") as string, code: undefined },
  ]);
}

test("that the state of slot and outbox cannot be read is logged once for each cause", async () => {
  const { log, lines } = recordedLog();
  const clock = new FakeClock();
  const db = failing(CODES, [STATUS_ROW]);
  const watch = new SlotWatch({ db, slotName: "pgnetd_app", clock, log });
  for (let look = 0; look <= CODES.length; look++) {
    watch.look();
    await turn();
    clock.advance(5_000);
  }
  expect(watch.last?.slotName).toBe("pgnetd_app");
  expectOncePerCause(lines, /could not be read/);
});

test("that a snapshot cannot be had for results that wait for it is logged once for each cause", async () => {
  const { log, lines } = recordedLog();
  const clock = new FakeClock();
  const db = failing(CODES, [{ snapshot: "10:10:" }]);
  const seen: Pending[] = [];
  const unseen = new AwaitingVisibility({
    db,
    clock,
    log,
    visible: (items) => seen.push(...items),
  });
  const end = new AbortController();
  const ended = unseen.run(end.signal);
  const request = requestOf("http://a/", { id: 7n });
  const completion = { kind: "deferred", request, outcome: null, delayMs: 1 } as const;
  const insertedBy = { xid: xid(5), history: new AbortController().signal };
  unseen.keep({ completion, insertedBy, bytes: 1, memory: UNBOUNDED, ...UNTRIED });
  for (let step = 0; seen.length === 0; step++) {
    expect(step).toBeLessThan(100);
    clock.advance(1_000);
    await turn();
  }
  expect([db.left, seen[0]?.completion]).toEqual([0, completion]);
  end.abort();
  await ended;
  expectOncePerCause(lines, /could not be read/);
});
