import { expect, test } from "vitest";
import { LaneRoom } from "../../src/sending/lane-room.ts";

/** The room after `seconds` in which so many started. */
function roomAfter(started: number, seconds = 1, most = 1_000): number {
  const room = new LaneRoom(most, 5_000);
  for (let one = 0; one < started; one++) room.started();
  return room.at(5_000 + seconds * 1_000);
}

test("P6: a lane has room for twice what starts of it in a second, within its bounds", () => {
  expect([100, 7, 600].map((started) => roomAfter(started))).toEqual([200, 16, 1_000]);
  expect([roomAfter(100, 4), roomAfter(101, 4)]).toEqual([50, 51]);
});

test("the room of a lane changes once a second, by what started in the last one alone", () => {
  const room = new LaneRoom(1_000, 0);
  room.started();
  expect(room.at(999)).toBe(1_000);
  expect(room.at(1_000)).toBe(16);
  for (let one = 0; one < 50; one++) room.started();
  expect([room.at(1_999), room.at(2_000)]).toEqual([16, 100]);
});
