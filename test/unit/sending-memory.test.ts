import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Memory, perLaneBound } from "../../src/sending/memory.ts";

const BOUNDS = { requests: 100, bytes: 100_000, perLane: 50 };

function filled(lanes: Readonly<Record<string, number>>, bytes = 600): Memory {
  const memory = new Memory(BOUNDS);
  for (const [lane, count] of Object.entries(lanes)) for (let one = 0; one < count; one++) memory.hold(lane, bytes, 0);
  return memory;
}

describe("P6: when memory is full", () => {
  it("the longest lane is the one to give up for a shorter one", () => {
    const memory = filled({ long: 50, short: 10, other: 40 });
    expect(memory.longerThan("short", 600)).toBe("long");
    expect(memory.longerThan("new", 600)).toBe("long");
  });

  it("no lane is given up for one that is as long", () => {
    const memory = filled({ a: 50, b: 50 });
    expect([memory.longerThan("a", 600), memory.longerThan("b", 600)]).toEqual([null, null]);
  });

  it("no lane is given up for one that is hardly shorter: both would be read from the outbox again and again", () => {
    const memory = filled({ pair: 2, single: 1 });
    expect([memory.longerThan("new", 601), memory.longerThan("new", 600)]).toEqual([null, "pair"]);
  });

  it("large requests are given up before many small ones", () => {
    const memory = filled({ small: 40 });
    memory.hold("large", 60_000, 0);
    expect(memory.longerThan("new", 600)).toBe("large");
  });
});

describe("P5: memory", () => {
  it("has for large requests as many bytes again, and takes one of any size", () => {
    const memory = filled({ a: 40 }, 2_000);
    expect([memory.fits(900_000), memory.fits(20_001)]).toEqual([true, false]);
    memory.hold("b", 60_000, 0);
    expect([memory.fits(40_000), memory.fits(40_001), memory.room.largest]).toEqual([true, false, 40_000]);
    expect(memory.bytes).toBe(140_000);
    memory.hold("c", 40_000, 0);
    expect([memory.fits(25_001), memory.room.largest]).toEqual([false, 25_000]);
    for (const bytes of [60_000, 40_000]) memory.release(bytes);
    expect([memory.fits(900_000), memory.room.largest]).toEqual([true, Number.MAX_SAFE_INTEGER]);
  });

  it("P6: a large request leaves all others theirs, for as long as it is held", () => {
    const memory = filled({ a: 1 }, 2_000);
    const before = memory.room;
    memory.hold("b", 900_000, 0);
    memory.start("b", 900_000);
    expect(memory.room).toEqual({ ...before, rows: before.rows - 1, largest: 25_000 });
    expect(memory.fits(20_000)).toBe(true);
  });

  it("takes no more of a lane than may wait of it, and less once that starts slowly", () => {
    const memory = filled({ a: 50 });
    expect([memory.hasPlace("a", 0), memory.hasPlace("b", 0)]).toEqual([false, true]);
    expect(memory.share("a", 500)).toMatchObject({ queued: 50, room: 0 });
    const slow = new Memory({ ...BOUNDS, requests: 1_000, perLane: 500 });
    for (let one = 0; one < 40; one++) slow.hold("a", 600, 0);
    for (let one = 0; one < 25; one++) slow.start("a", 600);
    expect(slow.share("a", 500)).toMatchObject({ queued: 15, room: 485 });
    expect(slow.share("a", 1_000)).toMatchObject({ queued: 15, room: 35 });
    expect(slow.hasPlace("a", 1_000)).toBe(true);
    for (let one = 0; one < 35; one++) slow.hold("a", 600, 1_000);
    expect([slow.hasPlace("a", 1_000), slow.hasPlace("b", 1_000)]).toEqual([false, true]);
  });

  it("is empty again when everything that was held has ended or was given up", () => {
    const act = fc.record({
      what: fc.constantFrom("hold", "start", "release", "give up"),
      lane: fc.constantFrom("a", "b", "c"),
      bytes: fc.integer({ min: 1, max: 5_000 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const memory = new Memory(BOUNDS);
        const queued: { lane: string; bytes: number }[] = [];
        const started: number[] = [];
        const next = (what: string): void => {
          const one = queued.shift();
          if (one === undefined) return;
          if (what === "give up") return memory.giveUp(one.lane, one.bytes);
          memory.start(one.lane, one.bytes);
          started.push(one.bytes);
        };
        for (const { what, lane, bytes } of acts) {
          if (what === "hold") {
            memory.hold(lane, bytes, 0);
            queued.push({ lane, bytes });
          } else if (what === "release") memory.release(started.shift() ?? 0);
          else next(what);
          if (what === "release" && started.length === 0) break;
        }
        while (queued.length > 0) next("give up");
        for (const { room } of memory.shares(0)) expect(room).toBe(BOUNDS.perLane);
        expect([memory.shares(0), memory.longerThan("", 0)]).toEqual([[], null]);
      }),
    );
  });
});

it.each([
  [200, 10_000, 200],
  [120.2, 10_000, 121],
  [0.5, 10_000, 50],
  [50_000, 10_000, 4_000],
  ["unlimited", 10_000, 4_000],
  ["unlimited", 3_000, 3_000],
  [200, 20, 20],
] as const)(
  "P5: at %s starts a second and with room for %i requests a lane has at most %i queued",
  (rate, requests, most) => {
    expect(perLaneBound(rate, requests)).toBe(most);
  },
);

describe("P5: what a sweep may bring", () => {
  it("is seven eighths of memory, less what is held", () => {
    const memory = new Memory(BOUNDS);
    expect(memory.room).toEqual({ rows: 88, bytes: 87_500, largest: Number.MAX_SAFE_INTEGER });
    for (let one = 0; one < 3; one++) memory.hold("a", 600, 0);
    expect(memory.room).toMatchObject({ rows: 85, bytes: 85_700 });
    expect([memory.requests, memory.bytes]).toEqual([3, 1_800]);
  });

  it("is nothing where the bytes or the requests are used up", () => {
    expect(filled({ a: 4 }, 22_000).room).toMatchObject({ rows: 0, bytes: 0 });
    expect(filled({ a: 45, b: 45 }, 10).room).toMatchObject({ rows: 0, bytes: 86_600 });
  });
});

describe("P5: one more request", () => {
  it("fits up to the bounds of requests and of bytes, and not beyond", () => {
    expect([filled({ a: 99 }, 10).fits(10), filled({ a: 100 }, 10).fits(10)]).toEqual([true, false]);
    expect([filled({ a: 4 }, 20_000).fits(20_000), filled({ a: 4 }, 20_000).fits(20_001)]).toEqual([true, false]);
  });

  it("is large from a whole number of bytes on", () => {
    const memory = new Memory({ ...BOUNDS, bytes: 10_590_618 });
    memory.hold("a", 9 << 20, 0);
    expect(memory.room.largest).toBe(2_647_654);
  });

  it("is large from beyond a quarter of all bytes", () => {
    const memory = filled({ a: 4 }, 25_000);
    expect([memory.fits(25_000), memory.fits(25_001), memory.room.largest]).toEqual([
      false,
      true,
      Number.MAX_SAFE_INTEGER,
    ]);
  });
});

it("a lane has a place until as many of it are queued as may be", () => {
  expect([filled({ a: 49 }).hasPlace("a", 0), filled({ a: 50 }).hasPlace("a", 0)]).toEqual([true, false]);
  expect([filled({ a: 49 }).share("a", 0), filled({}).share("a", 0)]).toEqual([
    { lane: "a", queued: 49, room: 1 },
    { lane: "a", queued: 0, room: 50 },
  ]);
});

it("P6: a lane is longer by its bytes, and one that has shrunk is so no more", () => {
  const memory = filled({ long: 50, short: 1 });
  for (let one = 0; one < 49; one++) memory.start("long", 600);
  expect(memory.longerThan("new", 600)).toBeNull();
  memory.giveUp("long", 600);
  expect([memory.longerThan("new", 10), memory.shares(0).map(({ lane }) => lane)]).toEqual(["short", ["short"]]);
});

it("P6: of lanes of more than 4 GiB the longer one is the one to give up for a shorter one", () => {
  const memory = new Memory({ ...BOUNDS, bytes: 1e12 });
  memory.hold("longest", 5e9, 0);
  memory.hold("long", 1e9, 0);
  expect(memory.longerThan("long", 1)).toBe("longest");
});

it("what is not queued changes nothing when it starts, and is only released when it is given up", () => {
  const memory = filled({ a: 2 });
  memory.start("b", 600);
  expect([memory.requests, memory.bytes]).toEqual([2, 1_200]);
  memory.giveUp("b", 600);
  expect([memory.requests, memory.bytes, memory.share("a", 0).queued]).toEqual([1, 600, 2]);
});
