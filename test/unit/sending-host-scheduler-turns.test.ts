import { expect, it } from "vitest";
import type { HostSettings } from "../../src/outbox/host-settings.ts";
import type { AllPermits, HostScheduler } from "../../src/sending/host-scheduler.ts";
import { entryFor, fill, finishAll, FREE, makeResponsive, open, startAll } from "../support/hosts-lab.ts";

/** So many permits, of which so many are kept. */
function permits(count: number, kept = 0): AllPermits & { left: number } {
  return {
    left: count,
    hasSpare() {
      return this.left > kept;
    },
    isFree() {
      return this.left > 0;
    },
    tryTake() {
      this.left -= 1;
      return true;
    },
  };
}

it("P7: each start takes a permit, and none is taken where nothing may start", () => {
  const hosts = open({ perHost: 2 });
  for (let one = 0; one < 5; one += 1) hosts.add(entryFor("a"), 0);
  const few = permits(1);
  expect([hosts.start(few, 0) !== null, hosts.start(few, 0), few.left]).toEqual([true, null, 0]);
  const many = permits(10);
  while (hosts.start(many, 0) !== null);
  expect([hosts.inFlight, many.left]).toEqual([2, 9]);
});

it("P7: no more are in flight than there are places, also of a host that answers soon", () => {
  const hosts = open({ total: 4, perHost: 4 });
  for (const host of ["a", "b", "c", "d", "e"]) makeResponsive(hosts, host);
  for (const host of ["a", "b", "c", "d", "e"]) fill(hosts, host, 1, { now: 10 });
  expect([hosts.inFlight, hosts.queued]).toEqual([4, 1]);
});

it("P7: settings of a host take effect where it already waits for its turn", () => {
  const hosts = open();
  const settings: HostSettings = { ratePerSecond: null, concurrency: 1, paused: false };
  for (let one = 0; one < 3; one += 1) hosts.add(entryFor("a"), 0);
  hosts.configure(new Map([["a", settings]]), 0);
  expect(startAll(hosts, 0)).toHaveLength(1);
});

/** The hosts or lanes whose requests start while permits last. */
function started(hosts: HostScheduler, given: AllPermits): string[] {
  const lanes: string[] = [];
  for (let one = hosts.start(given, 0); one !== null; one = hosts.start(given, 0)) lanes.push(one.entry.lane);
  return lanes;
}

it.each([
  ["of another host", { host: "b", lane: "b" }],
  ["of the same host", { host: "a", lane: "a quiet" }],
])(
  "P6: a lane with much to send leaves a permit, which the lane %s that is sent to seldom takes at once",
  (_, quiet) => {
    const hosts = open();
    for (let one = 0; one < 5; one += 1) hosts.add(entryFor("a"), 0);
    const few = permits(3, 1);
    expect(started(hosts, few)).toEqual(["a", "a"]);
    hosts.add(entryFor(quiet.host, { lane: quiet.lane }), 0);
    expect([started(hosts, few), few.left]).toEqual([[quiet.lane], 0]);
  },
);

it("P6: a lane whose requests come one by one takes no more than its turns from one that always has some", () => {
  const hosts = open();
  for (let one = 0; one < 50; one += 1) hosts.add(entryFor("a"), 0);
  const given = permits(0, 1);
  const lanes: string[] = [];
  for (let one = 0; one < 40; one += 1) {
    if (hosts.load(0).hosts.find(({ host }) => host === "b")?.queued !== 1) hosts.add(entryFor("b"), 0);
    given.left += 1;
    lanes.push(...started(hosts, given));
  }
  expect(lanes.length).toBeGreaterThanOrEqual(39);
  const ofB = lanes.filter((lane) => lane === "b").length;
  expect(Math.abs(ofB - lanes.length / 2)).toBeLessThanOrEqual(1);
});

it("P6: hosts that have not answered have their start of eight also where no more is free than what is kept", () => {
  const hosts = open();
  makeResponsive(hosts, "a");
  for (let one = 0; one < 5; one += 1) hosts.add(entryFor("silent"), 10);
  const lanes: string[] = [];
  for (let one = 0; one < 16; one += 1) {
    if (hosts.load(10).hosts.find(({ host }) => host === "a")?.queued !== 1) hosts.add(entryFor("a"), 10);
    lanes.push(...started(hosts, permits(1, 1)));
  }
  expect(lanes.filter((lane) => lane === "silent")).toHaveLength(2);
});

it("P6: a host that is held back for places starts as soon as others leave so many free", () => {
  const started = [2, 3].map((ending) => {
    const hosts = open({ total: 16, perHost: 16 });
    const others = Array.from({ length: 6 }, (_, host) => fill(hosts, `h${host}`, 1)).flat();
    // With two in flight it leaves ten free: two reserved ones and four times as many as it has.
    expect(fill(hosts, "a", 5)).toHaveLength(2);
    finishAll(hosts, others.slice(0, ending), 10, false);
    return startAll(hosts, 10).length;
  });
  expect(started).toEqual([0, 1]);
});

it("P6: time in flight counts, where it is a larger share of the places than a start is of the rate", () => {
  const hosts = open({ total: 10, perHost: 10, perSecond: 10 });
  for (const host of ["slow", "quick"]) makeResponsive(hosts, host);
  const [slow] = fill(hosts, "slow", 1, { now: 10 });
  finishAll(hosts, slow === undefined ? [] : [slow], 5_010);
  for (let one = 0; one < 8; one += 1) for (const host of ["slow", "quick"]) hosts.add(entryFor(host), 5_010);
  const order: string[] = [];
  for (let one = 0; one < 4; one += 1) {
    const flight = hosts.start(FREE, 5_010);
    if (flight === null) continue;
    order.push(flight.entry.host);
    finishAll(hosts, [flight], 5_011);
  }
  expect(order).toEqual(["quick", "quick", "quick", "quick"]);
});

it("P6: bytes of large requests are not counted, and those that count are given back", () => {
  const hosts = open({ bytes: 100_000 });
  for (let round = 0; round < 3; round += 1) {
    const flights = fill(hosts, "a", 1, { now: round * 10, bytes: 25_000 });
    expect(flights).toHaveLength(1);
    finishAll(hosts, flights, round * 10 + 5);
  }
  const large = fill(hosts, "a", 1, { now: 50, bytes: 25_001 });
  expect(fill(hosts, "b", 1, { now: 50, bytes: 25_000 })).toHaveLength(1);
  expect([large.length, fill(hosts, "a", 1, { now: 50, bytes: 25_000 }).length]).toEqual([1, 1]);
});

it("P6: what hosts last did wrong is known, with how long ago", () => {
  const hosts = open();
  hosts.failed("a", "timeout", 10);
  expect([...hosts.load(30).lastFailures]).toEqual([["a", { code: "timeout", msAgo: 20 }]]);
});

it("a permit of a host that is not known is passed over", () => {
  const hosts = open();
  hosts.release("unknown", 0);
  expect(startAll(hosts, 0)).toEqual([]);
});

it("P5: hosts of which everything was given up are not remembered for ever", () => {
  const hosts = open();
  makeResponsive(hosts, "first");
  for (let host = 0; host < 400; host += 1) hosts.add(entryFor(`paused${host}`), 10);
  hosts.configure(
    new Map(
      Array.from({ length: 400 }, (_, host) => [
        `paused${host}`,
        { ratePerSecond: null, concurrency: null, paused: true },
      ]),
    ),
    10,
  );
  for (let host = 0; host < 400; host += 1) hosts.add(entryFor(`given${host}`), 10);
  for (let host = 0; host < 400; host += 1) while (hosts.giveUp(`given${host}`).length > 0);
  for (let host = 0; host < 400; host += 1) hosts.add(entryFor(`cleared${host}`), 10);
  expect([hosts.isResponsive("first", 10), hosts.clear().length]).toEqual([true, 400]);
  expect(hosts.isResponsive("first", 10)).toBe(false);
});
