import { describe, expect, it } from "vitest";
import type { AllPermits, HostScheduler } from "../../src/sending/host-scheduler.ts";
import { entryFor, fill, finishAll, FREE, makeResponsive, open, startAll } from "../support/hosts-lab.ts";

const NONE: AllPermits = { isFree: () => false, hasSpare: () => false, tryTake: () => false };

/** What the next start of each host waits for. */
function waits(hosts: HostScheduler, now = 0): Record<string, string> {
  return Object.fromEntries(hosts.load(now).hosts.map(({ host, waitsFor }) => [host, waitsFor]));
}

describe("what the next start of a host waits for", () => {
  it("is a permit, where nothing else is lacking", () => {
    const hosts = open();
    hosts.add(entryFor("a"), 0);
    expect([hosts.start(NONE, 0), waits(hosts)]).toEqual([null, { a: "rate" }]);
  });

  it("is its own concurrency, or its own rate", () => {
    const hosts = open({ perHost: 1, rateOf: (host) => (host === "limited" ? NONE : null) });
    fill(hosts, "a", 2);
    fill(hosts, "limited", 1);
    expect(waits(hosts)).toEqual({ a: "host_concurrency", limited: "host_rate" });
  });

  it("is memory for its answer, until there may be some", () => {
    let hasRoom = false;
    const hosts = open({ hasAnswerRoom: (host) => host !== "a" || hasRoom });
    fill(hosts, "a", 1);
    expect([waits(hosts), fill(hosts, "b", 1).length]).toEqual([{ a: "answer_memory" }, 1]);
    hasRoom = true;
    expect(startAll(hosts, 0)).toEqual([]);
    hosts.answersHaveRoom(0);
    expect(startAll(hosts, 0)).toHaveLength(1);
  });

  it("is a place, where too few are free for it, or only those for responsive hosts", () => {
    const heldBack = open({ total: 8 });
    fill(heldBack, "a", 3);
    expect(waits(heldBack)).toEqual({ a: "places" });
    const reserved = open({ total: 64, perHost: 64 });
    makeResponsive(reserved, "good");
    fill(reserved, "good", 32, { now: 10 });
    for (let host = 0; reserved.inFlight < 56; host += 1) fill(reserved, `h${host}`, 1, { now: 10 });
    reserved.add(entryFor("new"), 10);
    reserved.add(entryFor("good"), 10);
    expect(waits(reserved, 10)).toMatchObject({ new: "places" });
    const full = open({ total: 1 });
    fill(full, "a", 1);
    full.add(entryFor("b"), 0);
    expect(waits(full)).toMatchObject({ b: "places" });
  });

  it("is said of hosts of which something is in memory, with what that is", () => {
    const hosts = open({ perHost: 1 });
    const [flight] = fill(hosts, "a", 2);
    makeResponsive(hosts, "done");
    expect(hosts.load(0).hosts).toEqual([
      { host: "a", queued: 1, inFlight: 1, waitsFor: "host_concurrency", waitsSince: Infinity },
    ]);
    expect(hosts.busy.map(({ name }) => name)).toEqual(["a"]);
    finishAll(hosts, flight === undefined ? [] : [flight], 5);
    expect([hosts.queued, hosts.inFlight]).toEqual([1, 0]);
  });
});

describe("P6: places that are lacking", () => {
  /** All but the reserved of 64 places are in flight to hosts that hang. */
  function shortOfPlaces(perSecond: number | "unlimited" = "unlimited"): HostScheduler {
    const hosts = open({ total: 64, perSecond });
    makeResponsive(hosts, "good");
    for (let host = 0; hosts.inFlight < 56; host += 1) fill(hosts, `hung${host}`, 1, { now: 10 });
    return hosts;
  }

  it("are none while nothing waits", () => {
    expect([shortOfPlaces().isShortOfPlaces, shortOfPlaces().lackingPlaces(10)]).toEqual([false, 0]);
  });

  it("are none while there are places", () => {
    const hosts = open({ total: 64 });
    hosts.add(entryFor("a"), 0);
    expect([hosts.isShortOfPlaces, hosts.lackingPlaces(0)]).toEqual([false, 0]);
  });

  it("are one for each host without any, and the reserved ones that others leave free", () => {
    const hosts = shortOfPlaces();
    for (const host of ["x", "y", "hung0"]) hosts.add(entryFor(host), 10);
    expect([hosts.isShortOfPlaces, hosts.lackingPlaces(10)]).toEqual([true, 2]);
    hosts.add(entryFor("good"), 10);
    expect(hosts.lackingPlaces(10)).toBe(3);
  });

  it("are no more than may start in a second", () => {
    const hosts = shortOfPlaces(2);
    for (const host of ["x", "y", "z"]) hosts.add(entryFor(host), 10);
    expect(hosts.lackingPlaces(10)).toBe(2);
    const slow = shortOfPlaces(0.1);
    for (const host of ["x", "y", "z"]) slow.add(entryFor(host), 10);
    expect(slow.lackingPlaces(10)).toBe(1);
  });

  it("are not those of hosts that something else holds up", () => {
    const hosts = open({
      total: 64,
      perSecond: "unlimited",
      rateOf: (host) => (host === "limited" ? NONE : FREE),
      hasAnswerRoom: (host) => host !== "full",
    });
    for (let host = 0; hosts.inFlight < 56; host += 1) fill(hosts, `hung${host}`, 1);
    hosts.configure(new Map([["none", { ratePerSecond: null, concurrency: 0, paused: false }]]), 0);
    for (const host of ["limited", "full", "none"]) hosts.add(entryFor(host), 0);
    expect(hosts.lackingPlaces(0)).toBeLessThanOrEqual(0);
    hosts.add(entryFor("x"), 0);
    expect(hosts.lackingPlaces(0)).toBe(1);
  });
});

it("P6: what has been in flight for longer than a time is known, the longest first", () => {
  const hosts = open();
  fill(hosts, "b", 1, { now: 5 });
  fill(hosts, "a", 1, { now: 3 });
  fill(hosts, "b", 1, { now: 4 });
  fill(hosts, "c", 1, { now: 6 });
  expect(hosts.inFlightLongerThan(10, 16).map(({ startedAt }) => startedAt)).toEqual([3, 4, 5]);
});

it("P6: a responsive host may have all bytes in flight that are free, and others half of them", () => {
  const silent = open({ bytes: 100_000 });
  expect(fill(silent, "a", 10, { bytes: 20_000 })).toHaveLength(2);
  const responsive = open({ bytes: 100_000 });
  makeResponsive(responsive, "a");
  const flights = fill(responsive, "a", 10, { now: 10, bytes: 20_000 });
  expect(flights).toHaveLength(3);
  finishAll(responsive, flights.slice(0, 1), 12);
  expect(startAll(responsive, 12)).toHaveLength(1);
});

it("P5: of hosts without anything to do those that ended last are remembered", () => {
  const hosts = open();
  makeResponsive(hosts, "first");
  for (let host = 0; host < 1_023; host += 1) makeResponsive(hosts, `h${host}`);
  expect([hosts.isResponsive("first", 10), hosts.isResponsive("unknown", 10)]).toEqual([true, false]);
  fill(hosts, "h0", 1, { now: 10 });
  makeResponsive(hosts, "h1023");
  makeResponsive(hosts, "h1024");
  const remembered = ["first", "h0", "h1", "h1024"].map((host) => hosts.isResponsive(host, 10));
  expect(remembered).toEqual([false, true, true, true]);
});

it("P7: a host is not forgotten while it has something to do, however many others end meanwhile", () => {
  const hosts = open({ perHost: 1 });
  makeResponsive(hosts, "a");
  const flights = fill(hosts, "a", 2, { now: 10 });
  for (let host = 0; host < 1_100; host += 1) makeResponsive(hosts, `h${host}`);
  expect([fill(hosts, "a", 1, { now: 10 }), hosts.queued]).toEqual([[], 2]);
  expect(hosts.clear()).toHaveLength(2);
  expect([startAll(hosts, 10), hosts.inFlight]).toEqual([[], 1]);
  finishAll(hosts, flights, 15);
  expect([fill(hosts, "a", 1, { now: 20 }).length, hosts.inFlight]).toEqual([1, 1]);
});

it("P6: one start of eight goes to hosts that have not answered, while responsive ones have something to start", () => {
  const hosts = open({ perSecond: 10_000 });
  makeResponsive(hosts, "good");
  for (let one = 0; one < 100; one += 1) hosts.add(entryFor("good"), 10);
  for (let host = 0; host < 10; host += 1) hosts.add(entryFor(`h${host}`), 10);
  const order: string[] = [];
  for (let one = 0; one < 24; one += 1) {
    const flight = hosts.start(FREE, 10);
    if (flight !== null) order.push(flight.entry.host);
  }
  const others = order.flatMap((host, at) => (host === "good" ? [] : [at]));
  expect(others.slice(1).map((at, nth) => at - (others[nth] ?? 0))).toEqual(others.slice(1).map(() => 8));
  expect(others.length).toBeGreaterThanOrEqual(3);
});
