import { describe, expect, test } from "vitest";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import {
  type AnswerBounds,
  type AnswerMemory,
  type AnswerWaiter,
  answerParts,
  FIXED_BYTES,
} from "../../src/limits/answer-memory.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

const KB = 1_024;
const MB = 1_024 * KB;
const BOUNDS: AnswerBounds = { bytes: 64 * MB, largest: 10 * MB, inFlight: 256, requests: 10_000 };

interface Opened {
  readonly budget: AnswerBudget;
  readonly clock: FakeClock;
  /** How often `onRoom` was called. */
  readonly rooms: { count: number };
}

function open(bounds: AnswerBounds = BOUNDS): Opened {
  const clock = new FakeClock();
  const rooms = { count: 0 };
  const budget = new AnswerBudget({ bounds, clock, onRoom: () => (rooms.count += 1) });
  return { budget, clock, rooms };
}

const never: AnswerWaiter = {
  goOn: () => {
    throw new Error("it was allowed to go on");
  },
};
const whenever: AnswerWaiter = { goOn: () => undefined };

/** Whole answers of `bytes` for `host`, as many as there is room for, at most `most`. */
function fill(budget: AnswerBudget, host: string, bytes: number, most = Infinity, blocked = false): AnswerMemory[] {
  const answers: AnswerMemory[] = [];
  while (answers.length < most && budget.mayStart(host)) {
    const memory = budget.open(host);
    if (!memory.received(bytes, bytes, whenever)) {
      memory.release();
      break;
    }
    memory.finish(bytes);
    if (blocked) memory.block();
    answers.push(memory);
  }
  return answers;
}

describe("the parts of the memory for answers", () => {
  test.each([
    ["the defaults", BOUNDS],
    ["as little as the settings allow", { bytes: 5 * MB, largest: MB, inFlight: 64, requests: 1_000 }],
    ["many in flight", { bytes: 200 * MB, largest: 10 * MB, inFlight: 10_000, requests: 10_000 }],
  ])("P5: %s: together they are no more than the whole, and something is left to share", (_what, bounds) => {
    const { small, shared, fixed } = answerParts(bounds);
    expect(shared / fixed).toBeLessThanOrEqual(bounds.requests * 0.75);
    expect(2 * bounds.largest + bounds.inFlight * (2 * small + FIXED_BYTES) + shared).toBeLessThanOrEqual(bounds.bytes);
    expect(small).toBeGreaterThanOrEqual(4 * KB);
    expect(shared).toBeGreaterThanOrEqual(2 * bounds.largest);
  });
});

describe("a destination", () => {
  test("P6: is refused starts once its answers hold its share, and may start again when they are stored", async () => {
    const { budget, rooms } = open();
    const answers = fill(budget, "hog", 100 * KB);
    expect(answers.length).toBeGreaterThan(10);
    expect(budget.mayStart("hog")).toBe(false);
    expect(budget.bytes).toBeLessThan(10 * MB);
    expect(rooms.count).toBe(0);
    for (const answer of answers.slice(0, 20)) answer.release();
    await turn();
    expect(rooms.count).toBe(1);
    expect(budget.mayStart("hog")).toBe(true);
  });

  test("P6: finds room for its answers while those of a thousand others cannot be written", () => {
    const { budget } = open();
    const counts = Array.from(
      { length: 1_000 },
      (_, host) => fill(budget, `locked ${host}`, 100, Infinity, true).length,
    );
    expect(Math.max(...counts)).toBeGreaterThan(10);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(fill(budget, "other", 100).length).toBeGreaterThan(1);
  });

  test("P6: with an answer that cannot be written goes on, with many it waits", () => {
    const { budget } = open();
    fill(budget, "host", 100, 1, true);
    expect(fill(budget, "host", 100, 500)).toHaveLength(500);
    fill(budget, "host", 100 * KB, 3, true);
    expect(budget.mayStart("host")).toBe(false);
  });

  test("P6: is refused nothing for others' sake: a thousand destinations with a few locked answers each", () => {
    const { budget } = open();
    const counts = Array.from({ length: 1_000 }, (_, host) => fill(budget, `host ${host}`, 100, 4).length);
    expect(Math.min(...counts)).toBe(4);
    expect(budget.mayStart("other")).toBe(true);
    expect(budget.bytes).toBeLessThan(64 * MB);
  });

  test("is shown as held since its first refusal, until there is room", () => {
    const { budget, clock } = open();
    clock.advance(10);
    const answers = fill(budget, "hog", 100 * KB);
    clock.advance(10);
    budget.mayStart("hog");
    expect(budget.held).toEqual([{ name: "hog", since: 10, answers: answers.length, bytes: budget.bytes }]);
    for (const answer of answers) answer.release();
    expect(budget.held).toEqual([]);
    expect(budget.bytes).toBe(0);
  });

  test("that may start is not held, whatever another one is, and one that was may be held anew", () => {
    const { budget, clock } = open();
    expect(budget.mayStart("free")).toBe(true);
    budget.open("free");
    const answers = fill(budget, "hog", 100 * KB);
    for (const answer of answers) answer.release();
    const more = fill(budget, "hog", 100 * KB, 1);
    expect(budget.mayStart("hog")).toBe(true);
    expect(budget.held).toEqual([]);
    clock.advance(10);
    fill(budget, "hog", 100 * KB);
    expect(budget.held).toMatchObject([{ name: "hog", since: 10 }]);
    expect(more).toHaveLength(1);
  });

  test("P6: is held anew from its next refusal on, where it could start in between", () => {
    const { budget, clock } = open();
    const answers = fill(budget, "hog", 100 * KB);
    for (const answer of answers.slice(1)) answer.release();
    expect(budget.mayStart("hog")).toBe(true);
    clock.advance(10);
    fill(budget, "hog", 100 * KB);
    expect(budget.held).toMatchObject([{ name: "hog", since: 10 }]);
  });

  test("says once that it was refused a start, and again when it was refused anew", async () => {
    const { budget, clock } = open();
    const wasRefused = (): Promise<boolean> => budget.refusal.wait(null, clock, AbortSignal.abort());
    expect(await wasRefused()).toBe(false);
    const answers = fill(budget, "hog", 100 * KB);
    expect(await wasRefused()).toBe(true);
    budget.mayStart("hog");
    expect(await wasRefused()).toBe(false);
    for (const answer of answers.slice(1)) answer.release();
    fill(budget, "hog", 100 * KB);
    expect(await wasRefused()).toBe(true);
  });

  test("P8: nobody is called when memory gets free that nobody was refused, and after a refusal once", async () => {
    const { budget, rooms } = open();
    for (const answer of fill(budget, "host", 100 * KB, 5)) answer.release();
    await turn();
    expect(rooms.count).toBe(0);
    const answers = fill(budget, "host", 100 * KB);
    for (const answer of answers.splice(0, 10)) answer.release();
    await turn();
    expect(rooms.count).toBe(1);
    for (const answer of answers) answer.release();
    await turn();
    expect(rooms.count).toBe(1);
  });

  test("P5: is forgotten with its last answer, and known until then", () => {
    const { budget } = open();
    const [one, two] = [budget.open("host"), budget.open("host")];
    one.received(8 * MB, null, never);
    expect(two.received(8 * MB, null, whenever)).toBe(false);
    one.release();
    one.release();
    expect(budget.bytes).toBeLessThan(MB);
    expect(budget.mayStart("host")).toBe(false);
    two.release();
    expect([budget.bytes, budget.mayStart("host")]).toEqual([0, true]);
  });
});

describe("an answer that is received", () => {
  test("P6: never waits while it is small, whatever others hold", () => {
    const { budget } = open();
    for (let host = 0; host < 40; host += 1) fill(budget, `hog ${host}`, 500 * KB);
    const memory = budget.open("other");
    expect(memory.received(answerParts(BOUNDS).small, null, never)).toBe(true);
  });

  test("waits within its destination's share, and goes on when there is room", async () => {
    const { budget, clock } = open();
    const hold = fill(budget, "host", 200 * KB);
    const memory = budget.open("host");
    let gone = 0;
    expect(memory.received(5 * MB, null, { goOn: () => (gone += 1) })).toBe(false);
    expect(budget.mayStart("host")).toBe(false);
    clock.advance(70);
    expect([memory.waitedMs, memory.stuckMs]).toEqual([70, 70]);
    for (const answer of hold) answer.release();
    await turn();
    expect(gone).toBe(1);
    clock.advance(70);
    expect([memory.waitedMs, memory.stuckMs]).toEqual([70, 0]);
    expect(memory.received(5 * MB, null, never)).toBe(true);
  });

  test("is stuck no longer than since an answer of its destination got on", async () => {
    const { budget, clock } = open();
    const [first] = fill(budget, "host", 300 * KB);
    fill(budget, "others", 300 * KB);
    const memory = budget.open("host");
    memory.received(9 * MB, null, whenever);
    clock.advance(1_000);
    first?.release();
    await turn();
    clock.advance(50);
    expect([memory.waitedMs, memory.stuckMs]).toEqual([1_050, 50]);
  });

  test("is not stuck while the one before it is received further, however slowly", () => {
    const { budget, clock } = open();
    const [one, two] = [budget.open("host"), budget.open("host")];
    expect(one.received(8 * MB, null, never)).toBe(true);
    expect(two.received(8 * MB, null, whenever)).toBe(false);
    clock.advance(50_000);
    expect(one.received(9.5 * MB, null, never)).toBe(true);
    clock.advance(50_000);
    expect([two.waitedMs, two.stuckMs]).toEqual([100_000, 50_000]);
  });

  test("P6: goes on beyond its destination's share, one at a time", async () => {
    const { budget } = open();
    const one = budget.open("host");
    const two = budget.open("host");
    let goneOn = 0;
    expect(one.received(9 * MB, null, never)).toBe(true);
    expect(two.received(9 * MB, null, { goOn: () => (goneOn += 1) })).toBe(false);
    expect(one.received(10 * MB, null, never)).toBe(true);
    one.finish(10 * MB);
    await turn();
    expect(goneOn).toBe(0);
    one.release();
    await turn();
    expect(goneOn).toBe(1);
  });

  test("P6: of a destination whose answers nobody stores takes no more than that beyond the share", () => {
    const { budget } = open();
    const got: boolean[] = [];
    for (let index = 0; index < 8; index += 1) {
      const memory = budget.open("locked");
      got.push(memory.received(10 * MB, 10 * MB, whenever));
      if (got.at(-1) === true) memory.finish(10 * MB);
    }
    expect(got).toEqual([true, ...Array.from({ length: 7 }, () => false)]);
    const other = budget.open("other");
    expect(other.received(2 * MB, 2 * MB, never)).toBe(true);
  });

  test("P5: that is of known length is given no more than that, and else as much again as it has, from 64 kB to 1 MB", () => {
    const { budget } = open();
    const charged = (received: readonly number[], expected: number | null): number => {
      const before = budget.bytes;
      const memory = budget.open(`host ${received.join()} ${expected}`);
      for (const bytes of received) expect(memory.received(bytes, expected, never)).toBe(true);
      return budget.bytes - before;
    };
    const { small } = answerParts(BOUNDS);
    expect(small).toBeLessThan(64 * KB);
    expect(charged([small + 1], null)).toBe(small + 64 * KB);
    expect(charged([small + 1], small + 10)).toBe(small + 10);
    expect(charged([small + 1], small + 200 * KB)).toBe(small + 64 * KB);
    expect(charged([200 * KB, 200 * KB + 1], null)).toBe(400 * KB);
    expect(charged([1.5 * MB, 1.5 * MB + 1], null)).toBe(2.5 * MB);
  });

  test("that is given up while it waits, or restarted, leaves its place to the next", async () => {
    for (const leave of ["release", "restart"] as const) {
      const { budget } = open();
      const goneOn: string[] = [];
      const waiter = (name: string): AnswerWaiter => ({ goOn: () => goneOn.push(name) });
      const [first, second, third] = [budget.open("host"), budget.open("host"), budget.open("host")];
      expect(first.received(8 * MB, null, never)).toBe(true);
      expect(second.received(8 * MB, null, waiter("second"))).toBe(false);
      expect(third.received(8 * MB, null, waiter("third"))).toBe(false);
      second[leave]();
      expect(second.stuckMs).toBe(0);
      first.release();
      await turn();
      expect(goneOn).toEqual(["third"]);
    }
  });

  test("that ends while it waits waits no more, and leaves its place to the next", async () => {
    const { budget, clock } = open();
    let goneOn = 0;
    const [first, second, third] = [budget.open("host"), budget.open("host"), budget.open("host")];
    first.received(8 * MB, null, never);
    second.received(200 * KB, null, never);
    expect(second.received(300 * KB + 8 * MB, null, never)).toBe(false);
    third.received(8 * MB, null, { goOn: () => (goneOn += 1) });
    clock.advance(30);
    second.finish(300 * KB);
    clock.advance(30);
    expect([second.waitedMs, second.stuckMs, third.waitedMs]).toEqual([30, 0, 60]);
    first.release();
    await turn();
    expect(goneOn).toBe(1);
  });

  test("P6: waits behind those of its destination that wait already, though it would fit", async () => {
    const { budget } = open();
    const order: string[] = [];
    const [first, large, small] = [budget.open("host"), budget.open("host"), budget.open("host")];
    first.received(8 * MB, null, never);
    expect(large.received(8 * MB, null, { goOn: () => order.push("large") })).toBe(false);
    expect(small.received(50 * KB, 50 * KB, { goOn: () => order.push("small") })).toBe(false);
    first.release();
    await turn();
    expect(order).toEqual(["large"]);
    large.release();
    await turn();
    expect(order).toEqual(["large", "small"]);
  });

  test("P6: destinations take turns: who got on goes behind those who wait", async () => {
    const { budget } = open();
    // Nothing but the reserve is left, and that one answer at a time has.
    for (let host = 0; host < 12; host += 1) fill(budget, `hog ${host}`, 10 * KB);
    const order: string[] = [];
    const last = budget.open("last");
    expect(last.received(9 * MB, null, never)).toBe(true);
    const waiting = ["a", "a", "a", "b", "b", "c"].map((host) => {
      const memory = budget.open(host);
      const goOn = (): void => {
        order.push(host);
        // It comes to its end, is stored, and frees what the next one needs.
        setImmediate(() => memory.release());
      };
      return memory.received(9 * MB, null, { goOn });
    });
    expect(waiting).not.toContain(true);
    last.release();
    for (let turns = 0; turns < 20; turns += 1) await turn();
    expect(order).toEqual(["a", "b", "c", "a", "b", "a"]);
  });

  test("a redirect's content holds nothing when it is followed, and what follows is charged anew", () => {
    const { budget } = open();
    const memory = budget.open("host");
    memory.received(5 * MB, null, never);
    expect(budget.bytes).toBe(5 * MB);
    memory.restart();
    expect(budget.bytes).toBe(0);
    memory.received(4 * MB, null, never);
    expect(budget.bytes).toBe(4 * MB);
  });
});

describe("an answer that is decoded", () => {
  test("has some room at once, less than asked for where its destination holds much, never none", () => {
    const { budget } = open();
    const free = budget.open("host");
    expect(free.spare(256 * KB)).toBe(256 * KB);
    fill(budget, "host", 100 * KB);
    expect(budget.open("host").spare(256 * KB)).toBeLessThan(256 * KB);
    expect(budget.open("host").spare(256 * KB)).toBe(answerParts(BOUNDS).small);
  });

  test("P6: to the largest size has its turn one after the other; destinations whose answers pile up wait", async () => {
    const { budget } = open();
    const begun: string[] = [];
    const begin = (host: string): AnswerMemory => {
      const memory = budget.open(host);
      memory.received(5 * KB, null, never);
      memory.decodeInTurn({ goOn: () => begun.push(host) });
      return memory;
    };
    const [bomb, , other] = [begin("bombs"), begin("bombs"), begin("other")];
    await turn();
    expect(begun).toEqual(["bombs"]);
    bomb.finish(10 * MB);
    await turn();
    expect(begun).toEqual(["bombs", "other"]);
    other.finish(MB);
    await turn();
    expect(begun).toEqual(["bombs", "other"]);
    bomb.release();
    await turn();
    expect(begun).toEqual(["bombs", "other", "bombs"]);
  });
});
