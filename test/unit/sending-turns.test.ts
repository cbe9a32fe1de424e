import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Turn, Turns } from "../../src/sending/turns.ts";

/** Takes `count` turns, each at the cost of its member, and returns how often each member had one. */
function run(turns: Turns<string>, costs: Readonly<Record<string, number>>, count: number): Record<string, number> {
  const had: Record<string, number> = {};
  for (let taken = 0; taken < count; taken++) {
    const turn = turns.take();
    if (turn === null) return had;
    had[turn.member] = (had[turn.member] ?? 0) + 1;
    turn.used += costs[turn.member] ?? 1;
    turns.list(turn);
  }
  return had;
}

describe("P6: turns", () => {
  it("go to each member as often as to any other where each costs the same", () => {
    const turns = new Turns<string>();
    for (const name of ["a", "b", "c"]) turns.list(new Turn(name));
    expect(run(turns, {}, 300)).toEqual({ a: 100, b: 100, c: 100 });
  });

  it("go to members in inverse proportion to what theirs cost", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 6 }), (prices) => {
        const turns = new Turns<string>();
        const costs = Object.fromEntries(prices.map((price, index) => [`m${index}`, price]));
        for (const name of Object.keys(costs)) turns.list(new Turn(name));
        const had = run(turns, costs, 2_000);
        const used = Object.entries(costs).map(([name, cost]) => (had[name] ?? 0) * cost);
        expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(2 * Math.max(...prices));
      }),
    );
  });

  it("go first to a member that is new or comes back, which has saved up nothing meanwhile", () => {
    const turns = new Turns<string>();
    const [busy, late] = [new Turn("busy"), new Turn("late")];
    turns.list(busy);
    run(turns, {}, 1_000);
    turns.list(late);
    expect(run(turns, {}, 10)).toEqual({ busy: 5, late: 5 });
  });

  it("charge what a member used beyond its charge before its next turn", () => {
    const turns = new Turns<string>();
    const [hung, good] = [new Turn("hung"), new Turn("good")];
    for (const turn of [hung, good]) turn.used = 0;
    turns.list(hung);
    turns.list(good);
    hung.owed = 20;
    expect(run(turns, {}, 20)).toEqual({ good: 20 });
    expect(run(turns, {}, 20)).toEqual({ good: 10, hung: 10 });
  });

  it("go alike to members of a list while another list moves the time on", () => {
    const time = { used: 0 };
    const [busy, slow] = [new Turns<string>(time), new Turns<string>(time)];
    busy.list(new Turn("busy"));
    for (const name of ["a", "b", "c"]) slow.list(new Turn(name));
    const had: Record<string, number> = {};
    for (let round = 0; round < 300; round++) {
      run(busy, {}, 7);
      for (const [name, count] of Object.entries(run(slow, {}, 1))) had[name] = (had[name] ?? 0) + count;
    }
    expect(had).toEqual({ a: 100, b: 100, c: 100 });
  });

  it("leave a member that is listed again at its place", () => {
    const turns = new Turns<string>();
    const [first, second] = [new Turn("first"), new Turn("second")];
    for (const turn of [first, second]) turn.used = 0;
    for (const turn of [first, second, first]) turns.list(turn);
    expect([turns.take(), turns.take(), turns.take()]).toEqual([first, second, null]);
  });

  it("stay with a member that is listed elsewhere when a list is cleared that it was taken from", () => {
    const time = { used: 0 };
    const [left, other] = [new Turns<string>(time), new Turns<string>(time)];
    const turn = Object.assign(new Turn("a"), { used: 0 });
    left.list(turn);
    other.list(turn);
    left.clear();
    expect([left.take(), other.take()]).toEqual([null, turn]);
  });

  it("find a member that owes less than the time has moved on", () => {
    const time = { used: 0 };
    const turns = new Turns<string>(time);
    const turn = Object.assign(new Turn("a"), { used: 0 });
    turns.list(turn);
    turn.owed = 5;
    time.used = 100;
    expect(turns.peek()).toBe(turn);
    expect(turns.take()).toBe(turn);
  });

  it("are over when everybody is taken out, and go on with who is listed again", () => {
    const turns = new Turns<string>();
    const [a, b] = [new Turn("a"), Object.assign(new Turn("b"), { used: 0 })];
    for (const turn of [a, b]) turns.list(turn);
    turns.clear();
    expect([turns.peek(), a.listing, b.listing]).toEqual([null, null, null]);
    turns.list(b);
    expect([turns.take(), turns.take()]).toEqual([b, null]);
  });

  it("are in one list alone: a member that is listed elsewhere is taken there", () => {
    const time = { used: 0 };
    const [one, other] = [new Turns<string>(time), new Turns<string>(time)];
    const turn = new Turn("a");
    one.list(turn);
    other.list(turn);
    expect(one.take()).toBeNull();
    expect(other.take()).toBe(turn);
    expect(other.take()).toBeNull();
  });

  it("are kept by a member that is listed again", () => {
    const time = { used: 0 };
    const turns = new Turns<string>(time);
    const [first, second] = [new Turn("first"), new Turn("second")];
    second.used = 1;
    turns.list(first);
    turns.list(second);
    time.used = 5;
    turns.list(first);
    expect([turns.take(), turns.take(), turns.take()]).toEqual([first, second, null]);
  });

  it.each([
    ["new members", 1],
    ["new members with two turns each", 2],
  ])("go to the others, too, while %s come faster than there are turns", (_, each) => {
    const turns = new Turns<string>();
    const victims = ["a", "b", "c", "d"].map((name) => new Turn(name));
    for (const victim of victims) turns.list(victim);
    run(turns, {}, 40);
    const had: Record<string, number> = {};
    const left = new Map<Turn<string>, number>();
    for (let taken = 0; taken < 1_000; taken++) {
      for (const name of [`one${taken}`, `other${taken}`]) {
        const turn = new Turn(name);
        left.set(turn, each);
        turns.list(turn);
      }
      const turn = turns.take();
      if (turn === null) break;
      turn.used += 1;
      had[turn.member] = (had[turn.member] ?? 0) + 1;
      const more = (left.get(turn) ?? Infinity) - 1;
      left.set(turn, more);
      if (more > 0) turns.list(turn);
    }
    // One turn of four; those that come again have had their first, and wait for it likewise.
    const least = each === 1 ? Math.floor(1_000 / 4 / 4) : 1;
    expect(Math.min(...victims.map(({ member }) => had[member] ?? 0))).toBeGreaterThanOrEqual(least);
  });

  it("go soon to one that is new, however many came at once before it, and to that of these which waits longest", () => {
    const turns = new Turns<string>();
    const many = Array.from({ length: 1_000 }, (_, index) => new Turn(`m${index}`));
    for (const turn of many) turns.list(turn);
    const had = run(turns, {}, 100);
    expect(Array.from({ length: 20 }, (_, index) => had[`m${index}`] ?? 0)).not.toContain(0);
    for (let late = 0; late < 20; late++) {
      run(turns, {}, late % 4);
      turns.list(new Turn(`late${late}`));
      expect(run(turns, {}, 3)).toHaveProperty(`late${late}`);
    }
  });

  it("go to those that used the same in the order in which they were listed", () => {
    const turns = new Turns<string>();
    const names = Array.from({ length: 50 }, (_, index) => `m${index}`);
    for (const name of names) turns.list(Object.assign(new Turn(name), { used: 0 }));
    expect(names.map(() => turns.take()?.member)).toEqual(names);
  });
});
