import { expect, it } from "vitest";
import type { HostSettings } from "../../src/outbox/host-settings.ts";
import type { Permits } from "../../src/sending/host-scheduler.ts";
import { entryFor, fill, finishAll, FREE, makeResponsive, open, startAll } from "../support/hosts-lab.ts";

/** So many permits. */
function permits(count: number): Permits & { left: number } {
  return {
    left: count,
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
