import fc from "fast-check";
import { expect, test } from "vitest";
import { World } from "../support/world.ts";
import { settle, turn } from "../support/world-referee.ts";
import type { Row, Transaction } from "../support/world-rows.ts";

/** One thing that happens; `which` picks among those it can happen to. */
const step = fc.record({
  what: fc.constantFrom(
    "insert",
    "insert",
    "elsewhere",
    "record",
    "record",
    "reveal",
    "reveal",
    "abort",
    "stream",
    "stream",
    "stream",
    "confirm",
    "execute sweep",
    "return sweep",
    "return sweep",
    "fail sweep",
    "answer",
    "answer",
    "write back",
    "write back",
    "cancel",
    "truncate",
    "cut",
    "connect",
    "connect",
    "lose slot",
    "promote",
    "crash",
    "wait",
    "wait long",
  ),
  which: fc.nat(20),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function pick<T>(list: readonly T[], which: number): T | undefined {
  return list[which % Math.max(1, list.length)];
}

function act(world: World, { what, which }: Step): void {
  const at = (state: Transaction["at"]): Transaction[] => world.transactions.filter((one) => one.at === state);
  const tx = (state: Transaction["at"], then: (one: Transaction) => void): void => {
    const one = pick(at(state), which);
    if (one !== undefined) then(one);
  };
  switch (what) {
    case "insert":
      world.insert(Array.from({ length: 1 + (which % 3) }, (_, nth) => rowFor(which, nth)));
      break;
    case "elsewhere":
      world.insertElsewhere();
      break;
    case "record":
      tx("open", (one) => world.record(one));
      break;
    case "reveal":
      tx("recorded", (one) => world.reveal(one));
      break;
    case "abort":
      tx("open", (one) => world.abort(one));
      break;
    case "stream":
      world.stream();
      break;
    case "confirm":
      world.confirm();
      break;
    case "execute sweep":
      world.executeSweep();
      break;
    case "return sweep":
      world.returnSweep(false);
      break;
    case "fail sweep":
      world.returnSweep(true);
      break;
    case "answer":
      world.answer(which);
      break;
    case "write back":
      world.writeBack(which);
      break;
    case "cancel": {
      const row: Row | undefined = pick([...world.rows.values()], which);
      if (row !== undefined && which % 4 === 0) world.cancel(row);
      break;
    }
    case "truncate":
      if (which % 4 === 0) world.truncate();
      break;
    case "cut":
      world.cut();
      break;
    case "connect":
      world.connect(false);
      break;
    case "lose slot":
      world.cut();
      world.connect(true);
      break;
    case "promote":
      world.promote(which % 3);
      break;
    case "crash":
      world.crash();
      break;
    case "wait":
      world.clock.advance(60);
      break;
    case "wait long":
      world.clock.advance(6_000);
      break;
  }
}

function rowFor(which: number, nth: number): { failures?: number; delayMs?: number; lane: string } {
  const lane = "aaab"[(which + nth) % 4] ?? "a";
  if (which % 7 === 3) return { failures: 1, lane };
  if (which % 7 === 5) return { delayMs: 200, lane };
  return { lane };
}

test("P1, P2, P3: in any interleaving no committed row is lost, none is sent twice without a crash, none before its commit", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 60 }),
      fc.integer({ min: 2, max: 6 }),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(1, 2, 100),
      async (steps, requests, perLane, concurrency) => {
        const world = new World({ memory: { requests, bytes: 1 << 20, perLane }, concurrency });
        world.connect(false);
        for (const one of steps) {
          act(world, one);
          await turn();
        }
        await settle(world);
        expect(world.harms).toEqual([]);
      },
    ),
    { numRuns: Number(process.env["PGNETD_WORLDS"] ?? 500) },
  );
});
