import { expect, test } from "vitest";
import { type Entry, type Flight, Host } from "../../src/sending/host.ts";
import { requestOf } from "../support/http-peer.ts";

let id = 0n;
function entryFor(lane: string, waitsSince?: number): Entry {
  id += 1n;
  return { request: requestOf("http://a/", { id }), insertedBy: null, host: "a", lane, waitsSince };
}

/** A host with `lanes` queued. */
function hostWith(...lanes: readonly string[]): Host {
  const host = new Host("a", undefined, 4);
  for (const lane of lanes) host.add(entryFor(lane));
  return host;
}

const take = (host: Host, now = 0): Flight => host.take({ cost: 1, bytes: 10, now });
const finish = (host: Host, flight: Flight, now: number, answered = true): void =>
  host.finish(flight, { now, owed: 0, answered });

/** A host whose requests took so many milliseconds each; the last ended, answered, at `endedAt`. */
function hostThatTook(endedAt: number, ...took: readonly number[]): Host {
  const host = hostWith(...took.map(() => "x"));
  for (const ms of took) finish(host, take(host, endedAt - ms), endedAt);
  return host;
}

test("P7: a host has places up to its own concurrency, or the default, and none while it is paused", () => {
  const host = hostWith("x", "x", "x", "x", "x");
  const settings = { ratePerSecond: null, concurrency: 2, paused: false };
  for (let one = 0; one < 3; one++) take(host);
  const has = [undefined, settings, { ...settings, concurrency: null }, { ...settings, concurrency: 4, paused: true }];
  const places = has.map((some) => {
    host.configure(some);
    return [host.hasPlace, host.isPaused];
  });
  expect(places).toEqual([
    [true, false],
    [false, false],
    [true, false],
    [false, true],
  ]);
  host.configure(undefined);
  take(host);
  expect(host.hasPlace).toBe(false);
});

test("P6: a host is silent until it has answered, and after a minute without an answer", () => {
  const host = hostWith("x", "x");
  expect(host.standing(0)).toBe("silent");
  finish(host, take(host, 0), 5, false);
  expect(host.standing(5)).toBe("silent");
  finish(host, take(host, 5), 10);
  expect([host.standing(60_009), host.standing(60_010)]).toEqual(["responsive", "silent"]);
});

test("P6: a host is responsive while its requests take less than a second, those in flight included", () => {
  expect([hostThatTook(2_000, 999).standing(2_000), hostThatTook(2_000, 1_000).standing(2_000)]).toEqual([
    "responsive",
    "slow",
  ]);
  const host = hostThatTook(2_000, 5);
  host.add(entryFor("x"));
  host.add(entryFor("x"));
  take(host, 2_000);
  take(host, 2_900);
  expect([host.standing(2_999), host.standing(3_000)]).toEqual(["responsive", "slow"]);
});

test("the typical time in flight is a moving average, to which the newest request adds an eighth", () => {
  expect(hostWith().typicalMs).toBeNull();
  expect([hostThatTook(2_000, 800).typicalMs, hostThatTook(2_000, 800, 1_600).typicalMs]).toEqual([800, 900]);
});

test("what is queued and in flight is counted, in all and by lane", () => {
  const host = hostWith("x", "y", "x");
  expect(host.isIdle).toBe(false);
  const flight = take(host);
  expect([host.queued, host.inFlight, host.bytesInFlight, [...host.flights]]).toEqual([2, 1, 10, [flight]]);
  expect(host.load).toEqual([
    { lane: "x", queued: 1, inFlight: 1 },
    { lane: "y", queued: 1, inFlight: 0 },
  ]);
  for (let left = 2; left > 0; left--) finish(host, take(host), 1);
  expect([host.isIdle, host.load]).toEqual([false, [{ lane: "x", queued: 0, inFlight: 1 }]]);
  finish(host, flight, 1);
  expect([host.isIdle, host.bytesInFlight, host.load]).toEqual([true, 0, []]);
});

test("a host waits since the earliest of what waits first in its lanes", () => {
  const host = hostWith("unknown");
  expect(host.waitsSince).toBe(Infinity);
  for (const [lane, since] of [
    ["x", 30],
    ["x", 10],
    ["y", 20],
    ["z", 40],
  ] as const)
    host.add(entryFor(lane, since));
  expect(host.waitsSince).toBe(20);
});

test("lanes take turns, and within a lane the first to come is the first", () => {
  const host = hostWith("x", "x", "y", "y");
  const order = Array.from({ length: 4 }, () => {
    const next = host.next;
    const { entry } = take(host);
    expect(entry).toBe(next);
    return entry;
  });
  expect(order.map(({ lane }) => lane)).toEqual(["x", "y", "x", "y"]);
  expect(order.filter(({ lane }) => lane === "x").map(({ request }) => request.id)).toEqual(
    order
      .filter(({ lane }) => lane === "x")
      .map(({ request }) => request.id)
      .toSorted((one, other) => Number(one - other)),
  );
  expect(host.next).toBeNull();
  expect(() => take(host)).toThrow(RangeError);
});

test("P6: a lane that owes more than it was charged waits for the others", () => {
  const host = hostWith("x", "x", "y", "y", "y");
  host.finish(take(host), { now: 1, owed: 2, answered: true });
  expect(Array.from({ length: 4 }, () => take(host).entry.lane)).toEqual(["y", "y", "y", "x"]);
});

test("of a lane that is given up the later half goes, and of an odd number the larger", () => {
  const host = hostWith("x", "y", "x", "x");
  const first = host.next;
  expect(host.giveUp("x")).toHaveLength(2);
  expect([host.queued, host.next, host.giveUp("unknown")]).toEqual([2, first, []]);
  expect([host.clear().length, host.queued, host.next, host.load]).toEqual([2, 0, null, []]);
});

test("P5: a lane without anything is forgotten once its turn has come, or its last request has ended", () => {
  const host = hostWith("x", "y");
  const flight = take(host);
  host.clear();
  expect(host.next).toBeNull();
  expect(host.load.map(({ lane }) => lane)).toEqual(["x"]);
  finish(host, flight, 1);
  expect(host.load).toEqual([]);
});
