import { expect, test } from "vitest";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import { type AnswerMemory, type AnswerWaiter, answerParts, UNBOUNDED } from "../../src/limits/answer-memory.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { turn } from "../support/world-referee.ts";

const MB = 1 << 20;
const BOUNDS = { bytes: 64 * MB, largest: 10 * MB, inFlight: 256, requests: 10_000 };
const { small, shared } = answerParts(BOUNDS);
const whenever: AnswerWaiter = { goOn: () => undefined };

/** A budget, what it told others, and who went on. */
class Lab {
  readonly clock = new FakeClock();
  rooms = 0;
  readonly order: string[] = [];
  readonly budget = new AnswerBudget({ bounds: BOUNDS, clock: this.clock, onRoom: () => void this.rooms++ });

  waiter(name: string): AnswerWaiter {
    return { goOn: () => void this.order.push(name) };
  }

  /** A whole answer of `bytes`. */
  whole(host: string, bytes: number): AnswerMemory {
    const memory = this.budget.open(host);
    memory.finish(bytes);
    return memory;
  }

  /** An answer received so far. */
  received(host: string, bytes: number): AnswerMemory {
    const memory = this.budget.open(host);
    if (!memory.received(bytes, null, whenever)) throw new Error("it has to wait");
    return memory;
  }

  /** One that asks for its turn to be decoded. */
  decoding(host: string, name = host): AnswerMemory {
    const memory = this.budget.open(host);
    memory.decodeInTurn(this.waiter(name));
    return memory;
  }
}

test("P6: a destination that was refused a start is told when its answers are stored, though nobody waits", async () => {
  const lab = new Lab();
  const hog = lab.whole("hog", 9 * MB);
  await turn();
  expect(lab.budget.mayStart("hog")).toBe(false);
  hog.release();
  await turn();
  expect(lab.rooms).toBe(1);
});

test("P8: nobody is told of room where an answer waited, and no start was refused", async () => {
  const lab = new Lab();
  const first = lab.received("host", 8 * MB);
  expect(lab.budget.open("host").received(8 * MB, null, lab.waiter("second"))).toBe(false);
  first.release();
  await turn();
  expect([lab.order, lab.rooms]).toEqual([["second"], 0]);
});

test("those are held that were refused a start and would be again, and no others", () => {
  const lab = new Lab();
  const answers = [lab.whole("hog", 5 * MB), lab.whole("hog", 5 * MB)];
  expect(lab.budget.held).toEqual([]);
  lab.budget.mayStart("hog");
  expect(lab.budget.held).toMatchObject([{ name: "hog", answers: 2 }]);
  answers[0]?.release();
  expect(lab.budget.held).toEqual([]);
});

test("P5: a destination is forgotten with its last answer, though it would still be refused a start", () => {
  const lab = new Lab();
  lab.whole("others", shared);
  const last = lab.budget.open("host");
  expect(lab.budget.mayStart("host")).toBe(false);
  expect(lab.budget.held).toMatchObject([{ name: "host", answers: 1 }]);
  last.release();
  expect(lab.budget.held).toEqual([]);
});

test("P5: what is said of an answer after its release takes no memory", async () => {
  const lab = new Lab();
  const gone = lab.budget.open("host");
  gone.release();
  gone.finish(shared);
  gone.block();
  await turn();
  expect(lab.budget.mayStart("other")).toBe(true);
});

test("an answer as large as the small part takes nothing of what is shared", () => {
  const lab = new Lab();
  lab.received("host", small);
  expect(lab.budget.bytes).toBe(0);
});

test("what an answer waited for memory is the time from its question until it goes on", async () => {
  const lab = new Lab();
  lab.clock.advance(1_000);
  const first = lab.received("host", 8 * MB);
  const second = lab.budget.open("host");
  second.received(8 * MB, null, whenever);
  lab.clock.advance(70);
  expect([second.waitedMs, second.stuckMs]).toEqual([70, 70]);
  first.release();
  await turn();
  lab.clock.advance(70);
  expect(second.waitedMs).toBe(70);
});

test("P6: a redirect that is followed gives its memory to who waits", async () => {
  const lab = new Lab();
  const first = lab.received("host", 8 * MB);
  lab.budget.open("host").received(8 * MB, null, lab.waiter("second"));
  first.restart();
  await turn();
  expect(lab.order).toEqual(["second"]);
});

test("P6: an answer that would fit waits behind one of its destination that does not", async () => {
  const lab = new Lab();
  const others = lab.whole("others", 20 * MB);
  const first = lab.received("host", 6 * MB);
  others.release();
  expect(lab.budget.open("host").received(8 * MB, null, lab.waiter("large"))).toBe(false);
  expect(lab.budget.open("host").received(50_000, 50_000, lab.waiter("small"))).toBe(false);
  await turn();
  expect(lab.order).toEqual([]);
  first.release();
  await turn();
  expect(lab.order[0]).toBe("large");
});

test("P6: of answers of a destination that wait the one that is beyond the share goes on first: no other can", async () => {
  const lab = new Lab();
  const ahead = lab.received("host", 8 * MB);
  expect(lab.budget.open("host").received(8 * MB, null, lab.waiter("behind"))).toBe(false);
  // With these a quarter of everything is free, and the last has the reserve.
  const others = ["a", "b", "c"].map((host) => lab.received(host, 9.5 * MB));
  expect(ahead.received(9 * MB, null, lab.waiter("ahead"))).toBe(false);
  others[2]?.release();
  await turn();
  expect(lab.order).toEqual(["ahead"]);
});

test("P6: destinations take turns with the decoding of large answers", async () => {
  const lab = new Lab();
  const one = lab.decoding("a", "a1");
  lab.decoding("a", "a2");
  lab.decoding("b");
  await turn();
  expect(lab.order).toEqual(["a1"]);
  one.release();
  await turn();
  expect(lab.order).toEqual(["a1", "b"]);
});

test("P6: an answer that is given up while it waits to be decoded takes nobody's turn", async () => {
  const lab = new Lab();
  const first = lab.decoding("a", "a1");
  const gone = lab.decoding("a", "gone");
  lab.decoding("a", "a2");
  await turn();
  gone.release();
  first.release();
  await turn();
  expect(lab.order).toEqual(["a1", "a2"]);
});

test("an answer that nobody bounds waits for nothing", async () => {
  const lab = new Lab();
  expect([UNBOUNDED.received(MB, null, whenever), UNBOUNDED.spare(MB)]).toEqual([true, MB]);
  UNBOUNDED.decodeInTurn(lab.waiter("it"));
  expect(lab.order).toEqual([]);
  await turn();
  expect(lab.order).toEqual(["it"]);
});
