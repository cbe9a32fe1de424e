import { expect, test } from "vitest";
import type { Loop } from "../../src/base/loops.ts";
import { UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { Queryable } from "../../src/pg/pool.ts";
import type { Inserter } from "../../src/pg/snapshot.ts";
import { xid } from "../../src/pg/xid.ts";
import { AwaitingVisibility } from "../../src/results/awaiting-visibility.ts";
import { type Pending, UNTRIED } from "../../src/results/backlog.ts";
import { Refused } from "../../src/results/refused.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { silentLog } from "../support/silent-log.ts";
import { turn } from "../support/world-referee.ts";

function pending(id: number, insertedBy: Inserter | null = null): Pending {
  const request = requestOf("http://a/", { id: BigInt(id) });
  const completion = { kind: "deferred", request, outcome: null, delayMs: 1 } as const;
  return { completion, insertedBy, bytes: 1, memory: UNBOUNDED, ...UNTRIED };
}

/** Runs a loop on a clock until it is disposed of, which fails where the loop does not end. */
class Running implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(clock: FakeClock, loop: Loop) {
    this.clock = clock;
    this.#ended = loop(this.#stop.signal);
  }

  async advance(ms: number): Promise<void> {
    await turn();
    this.clock.advance(ms);
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

/** Results that await visibility, before a database whose snapshot a test sets. */
function awaiting(): {
  lab: Running;
  waiting: AwaitingVisibility;
  db: { snapshot: string; asked: number[] };
  seen: bigint[];
} {
  const clock = new FakeClock();
  const db = { snapshot: "5:5:", asked: [] as number[] };
  const seen: bigint[] = [];
  const query = async (): Promise<object> => {
    db.asked.push(clock.now());
    return { rows: [{ snapshot: db.snapshot }], rowCount: 1 };
  };
  const waiting = new AwaitingVisibility({
    db: { query: query as unknown as Queryable["query"] },
    clock,
    log: silentLog,
    visible: (items) => seen.push(...items.map(({ completion }) => completion.request.id)),
  });
  return { lab: new Running(clock, waiting.run), waiting, db, seen };
}

test("P2 awaitVisibility: a result waits until a snapshot sees its transaction, or the history is over", async () => {
  const { lab, waiting, db, seen } = awaiting();
  await using _ = lab;
  const history = new AbortController();
  waiting.keep(pending(1, { xid: xid(6), history: new AbortController().signal }));
  waiting.keep(pending(2, { xid: xid(7), history: history.signal }));
  waiting.keep(pending(3));
  await lab.advance(50);
  expect(seen).toEqual([3n]);
  db.snapshot = "7:8:7";
  await lab.advance(100);
  expect(seen).toEqual([3n, 1n]);
  history.abort();
  await lab.advance(200);
  expect(seen).toEqual([3n, 1n, 2n]);
});

test("P8 awaitVisibility: looks come less and less often while results wait, and not at all while none does", async () => {
  const { lab, waiting, db } = awaiting();
  await using _ = lab;
  await lab.advance(60_000);
  expect(db.asked).toEqual([]);
  const start = lab.clock.now();
  waiting.keep(pending(1, { xid: xid(6), history: new AbortController().signal }));
  for (let ms = 0; ms < 3_600; ms += 50) await lab.advance(50);
  expect(db.asked.map((at) => at - start)).toEqual([50, 150, 350, 750, 1_550, 2_550, 3_550]);
  db.snapshot = "7:7:";
  await lab.advance(1_000);
  const looks = db.asked.length;
  await lab.advance(60_000);
  expect(db.asked).toHaveLength(looks);
  waiting.keep(pending(2));
  await lab.advance(50);
  expect(db.asked).toHaveLength(looks + 1);
});

test("P2: what the database refuses is tried again after growing waits, each when it is due", async () => {
  const clock = new FakeClock();
  const due: (readonly [at: number, id: bigint])[] = [];
  const refused = new Refused({
    clock,
    due: (items) => due.push(...items.map((item) => [clock.now(), item.completion.request.id] as const)),
  });
  await using lab = new Running(clock, refused.run);
  const [often, once] = [pending(1), pending(2)];
  often.refusals = 2;
  refused.keep(often);
  await lab.advance(1_000);
  refused.keep(once);
  for (let second = 0; second < 30; second++) await lab.advance(1_000);
  expect(due).toEqual([
    [6_000, 2n],
    [20_000, 1n],
  ]);
  expect([often.refusals, once.refusals]).toEqual([3, 1]);
  often.refusals = 9;
  refused.keep(often);
  for (let second = 0; second < 61; second++) await lab.advance(1_000);
  expect(due.at(-1)).toEqual([91_000, 1n]);
});
