import { expect, test } from "vitest";
import { World } from "../support/world.ts";
import { settle, turn } from "../support/world-referee.ts";

type Act = (world: World) => unknown;

/** Acts, and the bounds of the dispatcher's memory and of what it has in flight. */
interface Way {
  readonly perLane?: number;
  readonly requests?: number;
  readonly concurrency?: number;
  readonly acts: readonly Act[];
}

/** Plays acts one after the other, lets everything else happen, and returns the harms the referee saw. */
async function play({ perLane = 3, requests = perLane + 2, concurrency = 100, acts }: Way): Promise<readonly string[]> {
  const world = new World({ memory: { requests, bytes: 1 << 20, perLane }, concurrency });
  world.connect(false);
  await turn();
  for (const act of acts) {
    act(world);
    await turn();
  }
  await settle(world);
  return world.harms;
}

const insert: Act = (world) => world.insert([{}]);
const insertThree: Act = (world) => world.insert([{}, {}, {}]);
const insertLater: Act = (world) => world.insert([{ delayMs: 200 }]);
const executeSweep: Act = (world) => world.executeSweep();
const returnSweep: Act = (world) => world.returnSweep(false);
const stream: Act = (world) => world.stream();
const confirm: Act = (world) => world.confirm();
const answer: Act = (world) => world.answer(0);
const writeBack: Act = (world) => world.writeBack(0);
const wait: Act = (world) => world.clock.advance(10_000);

function onTransaction(index: number, act: "record" | "reveal"): Act {
  return (world) => {
    const transaction = world.transactions.filter(({ rows }) => rows.length > 0)[index];
    if (transaction === undefined) throw new RangeError(`there is no transaction ${index}`);
    world[act](transaction);
  };
}

const record = (index: number): Act => onTransaction(index, "record");
const reveal = (index: number): Act => onTransaction(index, "reveal");
const restart: Act = (world) => {
  world.crash();
  world.connect(false);
};
const promote: Act = (world) => world.promote(0);
const promoteBehind: Act = (world) => world.promote(1);
const putBack: Act = (world) => world.putBack(0);
const reconnect: Act = (world) => {
  world.cut();
  world.connect(false);
};

/** For each rule the shortest way to harm without it: with it there is none. */
const ways: Readonly<Record<string, Way>> = {
  "ignoreSwept: what the last sweep saw is not accepted from the stream": {
    acts: [insert, record(0), reveal(0), returnSweep, answer, writeBack, stream],
  },
  "fromLowest: a row with a low id may commit behind the cursor": {
    perLane: 2,
    acts: [
      insert,
      insertThree,
      record(1),
      reveal(1),
      record(0),
      stream,
      stream,
      stream,
      stream,
      executeSweep,
      reveal(0),
      returnSweep,
      answer,
      answer,
      writeBack,
      writeBack,
      confirm,
    ],
  },
  "watch: what is decoded before it is visible may have been dropped": {
    acts: [insert, record(0), returnSweep, stream, confirm, restart, executeSweep, reveal(0), returnSweep],
  },
  "watch: also where its id is at or above the snapshot's xmax": {
    acts: [returnSweep, insert, record(0), stream, confirm, restart, executeSweep, reveal(0), returnSweep],
  },
  "aside: what is streamed while a sweep runs is buffered until its snapshot is known": {
    acts: [executeSweep, insert, record(0), reveal(0), stream, returnSweep],
  },
  "bufferBounded: a sweep during which rows did not fit into the buffer is not the last": {
    perLane: 1,
    acts: [
      executeSweep,
      insert,
      record(0),
      reveal(0),
      insert,
      record(1),
      reveal(1),
      stream,
      stream,
      returnSweep,
      confirm,
    ],
  },
  "leaveOutKnown: a sweep leaves out what is in memory": {
    perLane: 1,
    acts: [insert, record(0), reveal(0), insert, record(1), returnSweep, reveal(1), returnSweep, answer, returnSweep],
  },
  "notTwice: what began to be received before a cut is not accepted again": {
    acts: [
      insert,
      record(0),
      returnSweep,
      stream,
      answer,
      reconnect,
      executeSweep,
      reveal(0),
      stream,
      writeBack,
      returnSweep,
    ],
  },
  "notTwice: not where the positions are of another history": {
    acts: [
      returnSweep,
      insert,
      record(0),
      reveal(0),
      stream,
      confirm,
      answer,
      writeBack,
      promote,
      returnSweep,
      insert,
      record(1),
      reveal(1),
      stream,
    ],
  },
  "notTwice: nor where an earlier copy of the server's files was put back": {
    acts: [
      returnSweep,
      insert,
      record(0),
      reveal(0),
      stream,
      confirm,
      answer,
      writeBack,
      putBack,
      returnSweep,
      insert,
      record(1),
      reveal(1),
      stream,
    ],
  },
  "a cut drops what is queued: it is read again": {
    concurrency: 1,
    acts: [insertThree, record(0), reveal(0), returnSweep, reconnect],
  },
  "awaitVisibility: a result waits for its row to be visible": {
    acts: [insert, record(0), returnSweep, stream, confirm, answer, writeBack, reveal(0), reconnect, returnSweep],
  },
  "again: a row with the id of one that a failover lost is read when that one has ended": {
    acts: [
      returnSweep,
      insert,
      record(0),
      reveal(0),
      stream,
      promoteBehind,
      insert,
      record(0),
      reveal(0),
      returnSweep,
      stream,
      answer,
      writeBack,
    ],
  },
  "later: the transaction of a deferred row is watched until it is visible": {
    acts: [returnSweep, insertLater, record(0), stream, confirm, wait, returnSweep, wait, reveal(0)],
  },
  "later: also where it is streamed while a sweep runs that does not see it": {
    acts: [executeSweep, insertLater, record(0), stream, confirm, returnSweep, wait, reveal(0)],
  },
};

test.for(Object.entries(ways))("P2, P3: %s", async ([, way]) => {
  expect(await play(way)).toEqual([]);
});
