import { describe, expect, test } from "vitest";
import { Memory } from "../../src/sending/memory.ts";
import { sweepRoom, sweepRoomOf } from "../../src/sending/sweep-room.ts";

const BOUNDS = { requests: 16_000, bytes: 64 * 1024 * 1024, perLane: 200 };
const NOTHING = { bounds: BOUNDS, preferred: [], authorities: [], paused: [], now: 0 };

describe("a sweep", () => {
  test("brings what starts in two seconds, and no more", () => {
    expect(sweepRoom({ ...NOTHING, memory: new Memory(BOUNDS), perSecond: 1_000 }).rows).toBe(2_000);
  });

  test("brings 500 requests at a low rate", () => {
    expect(sweepRoom({ ...NOTHING, memory: new Memory(BOUNDS), perSecond: 0.5 }).rows).toBe(500);
  });

  test("brings what there is memory for without a limit of the rate", () => {
    expect(sweepRoom({ ...NOTHING, memory: new Memory(BOUNDS), perSecond: "unlimited" }).rows).toBe(14_000);
  });

  test("brings a sixteenth of memory where memory is full, and of lanes that have something in it only the preferred", () => {
    const memory = new Memory(BOUNDS);
    for (let n = 0; n < BOUNDS.requests; n++) memory.hold(`lane ${n % 100}`, 10, 0);
    memory.hold("quick named", 10, 0);
    const preferred = ["lane 7"];
    const { rows, shares } = sweepRoom({ ...NOTHING, memory, perSecond: 1_000, preferred, authorities: ["quick"] });
    expect(rows).toBe(1_000);
    expect(shares.filter(({ room }) => room > 0).map(({ lane, queued }) => [lane, queued < 0])).toEqual([
      ["lane 7", true],
      ["quick named", false],
    ]);
  });

  test("of some lanes leaves out those that are paused", () => {
    const room = { ...NOTHING, memory: new Memory(BOUNDS), perSecond: 1_000, paused: ["paused"] };
    expect(sweepRoomOf(["paused", "other"], room).shares.map(({ lane }) => lane)).toEqual(["other"]);
  });
});
