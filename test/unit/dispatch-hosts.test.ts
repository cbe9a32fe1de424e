import { describe, expect, it } from "vitest";
import type { Entry } from "../../src/dispatch/host.ts";
import { Hosts, type Permits } from "../../src/dispatch/hosts.ts";
import { requestOf } from "../support/world-rows.ts";

const FREE: Permits = { isFree: () => true, tryTake: () => true };

function open({ total = 256, perHost = 64, bytes = 1e9 } = {}): Hosts {
  return new Hosts({ total, perHost, bytes }, () => null);
}

let id = 0n;
function entryFor(host: string, bytes = 100): Entry {
  id += 1n;
  const row = {
    id,
    created: "1",
    failures: 0,
    nextAttemptAt: null,
    attempts: 0,
    state: "waiting" as const,
    sends: 0,
    excused: 0,
  };
  return { request: { ...requestOf(row), bytes }, insertedBy: null, host };
}

/** Adds `count` entries and starts what may start; returns those started. */
function fill(hosts: Hosts, host: string, count: number, { now = 0, bytes = 100 } = {}): Entry[] {
  for (let added = 0; added < count; added += 1) hosts.add(entryFor(host, bytes));
  return startAll(hosts, now);
}

function startAll(hosts: Hosts, now: number): Entry[] {
  const started: Entry[] = [];
  for (let one = hosts.start(FREE, now); one !== null; one = hosts.start(FREE, now)) started.push(one);
  return started;
}

/** Lets `host` end `count` of `started` at `now`, and starts what follows. */
function finish(hosts: Hosts, started: Entry[], count: number, now: number): void {
  for (const entry of started.splice(0, count)) hosts.finish(entry, now);
  started.push(...startAll(hosts, now));
}

describe("P6: places", () => {
  it("one host takes no more than its own limit, and no more than are free", () => {
    expect(fill(open(), "a", 1_000)).toHaveLength(64);
    expect(fill(open({ perHost: 1_000 }), "a", 1_000).length).toBeLessThanOrEqual(128);
    expect(fill(open({ total: 1, perHost: 1 }), "a", 10)).toHaveLength(1);
  });

  it("after twelve hosts that hang a further one still finds four places", () => {
    const hosts = open();
    for (let host = 0; host < 12; host += 1) fill(hosts, `hung${host}`, 100);
    expect(fill(hosts, "good", 10).length).toBeGreaterThanOrEqual(4);
  });

  it("large bodies in flight to one host leave as many bytes to others", () => {
    const hosts = open({ bytes: 64e6 });
    expect(fill(hosts, "hung", 64, { bytes: 1e6 }).length).toBeLessThanOrEqual(33);
    expect(fill(hosts, "good", 10, { bytes: 1e6 })).toHaveLength(10);
    expect(fill(open({ bytes: 1e6 }), "one", 2, { bytes: 5e6 })).toHaveLength(1);
  });
});

describe("P6: permits", () => {
  it("where they are scarce, one in four goes to slow hosts while others wait, and all where none do", () => {
    const hosts = open();
    const started = fill(hosts, "slow", 200);
    hosts.shed(1_000, true);
    finish(hosts, started, 60, 1_100);
    const next = (): string | undefined => hosts.start(FREE, 1_100)?.host;
    for (let added = 0; added < 40; added += 1) hosts.add(entryFor(added % 2 === 0 ? "slow" : "good"));
    const turns = Array.from({ length: 40 }, next);
    expect(turns.slice(0, 24).filter((host) => host === "slow")).toHaveLength(6);
    expect(turns.slice(28)).toEqual(Array.from({ length: 12 }, () => "slow"));
  });
});

describe("P6: waiting", () => {
  it("what waits for a host that hangs is given up but for one, and does not hold back the outbox", () => {
    const hosts = open();
    fill(hosts, "hung", 200);
    expect(hosts.waitingForTurn).toBe(136);
    expect(hosts.shed(150, true)).toHaveLength(0);
    expect(hosts.shed(350, true)).toHaveLength(136 - 16);
    expect(hosts.waitingForTurn).toBe(0);
    expect(hosts.shed(1_000, true)).toHaveLength(15);
    expect([hosts.waiting, hosts.waitingForTurn]).toEqual([1, 0]);
    expect(hosts.add(entryFor("hung"))).toBe(false);
    expect(hosts.add(entryFor("good"))).toBe(true);
    expect(hosts.waitingForTurn).toBe(1);
  });

  it("without pressure a host has a whole second to show what it takes", () => {
    const hosts = open();
    fill(hosts, "new", 200);
    expect(hosts.shed(900, false)).toHaveLength(0);
    expect(hosts.shed(1_000, false)).toHaveLength(135);
  });

  it("a fast host is never shed, whatever waits", () => {
    const hosts = open();
    const started = fill(hosts, "fast", 4_000);
    for (let now = 10; now <= 300; now += 10) {
      finish(hosts, started, 20, now);
      expect(hosts.shed(now, true)).toHaveLength(0);
    }
    expect(hosts.waitingForTurn).toBe(hosts.waiting);
  });

  it("a host that answers so many per second keeps what it takes in two", () => {
    const hosts = open();
    const started = fill(hosts, "some", 1_000);
    for (let now = 10; now <= 1_000; now += 10) finish(hosts, started, 1, now);
    hosts.shed(1_000, true);
    expect(hosts.waiting).toBe(200);
  });

  it("a host that takes all again fills its free places at once, and is forgotten as slow", () => {
    const hosts = open();
    const started = fill(hosts, "late", 200);
    hosts.shed(1_000, true);
    finish(hosts, started, 64, 1_100);
    const more = fill(hosts, "late", 100, { now: 1_100 });
    expect(more).toHaveLength(63);
    started.push(...more);
    while (started.length > 0) finish(hosts, started, 1, 1_200);
    hosts.shed(70_000, true);
    expect(fill(hosts, "late", 500, { now: 70_000 })).toHaveLength(64);
    expect([hosts.waiting, hosts.waitingForTurn]).toEqual([436, 436]);
  });
});

describe("parking", () => {
  /** A host that took nothing for a second, so that all but its places are parked: ids from 1 on. */
  function hanging(): { readonly hosts: Hosts; readonly started: Entry[] } {
    const hosts = open();
    const started = fill(hosts, "hung", 200);
    hosts.shed(1_000, true);
    return { hosts, started };
  }

  it("of a host that hangs lasts longer the longer it lasts, up to half a minute", () => {
    const { hosts } = hanging();
    const times: number[] = [];
    for (let now = 2_000; now < 150_000; now += times.at(-1) ?? 0) times.push(hosts.park(entryFor("hung"), now));
    expect(times.slice(3)).toEqual(times.slice(3).toSorted((a, b) => a - b));
    expect(times[0]).toBeLessThan(1_000);
    expect(times.at(-1)).toBe(30_000);
  });

  it("brings back in order, and no more than 500 per second", () => {
    const { hosts } = hanging();
    const delays = Array.from({ length: 50_000 }, () => hosts.park(entryFor("hung"), 1_000));
    expect(delays).toEqual(delays.toSorted((a, b) => a - b));
    expect(delays.filter((ms) => ms >= 50_000 && ms < 51_000).length).toBeLessThanOrEqual(500);
    expect(delays.at(-1)).toBeLessThan(101_000);
  });

  it("of large requests brings back no more than 5 MB per second", () => {
    const { hosts } = hanging();
    const delays = Array.from({ length: 100 }, () => hosts.park(entryFor("hung", 1e6), 1_000));
    expect(delays.filter((ms) => ms >= 10_000 && ms < 11_000).length).toBe(5);
  });

  it("calls nothing back while the host hangs, and what its places take when it goes on", () => {
    const { hosts, started } = hanging();
    expect(hosts.callBack(1_000).ids).toEqual([]);
    finish(hosts, started, 64, 1_500);
    expect(hosts.inFlight).toBe(1);
    const called = hosts.callBack(1_500).ids;
    expect(called).toHaveLength(65);
    expect(called).toEqual(called.toSorted((a, b) => Number(a - b)));
    expect(hosts.callBack(1_600).ids).toEqual([]);
    expect(hosts.callBack(2_600).ids.length).toBeGreaterThan(65);
  });

  it("calls back more and more for a host that takes it all", () => {
    const hosts = open();
    hosts.configure(new Map([["a", { ratePerSecond: null, concurrency: null, paused: true }]]));
    for (let count = 0; count < 3_000; count += 1) hosts.park(entryFor("a"), 0);
    expect(hosts.callBack(50).ids).toEqual([]);
    hosts.configure(new Map());
    const called: number[] = [];
    for (let now = 100; now <= 6_100; now += 1_001) called.push(hosts.callBack(now).ids.length);
    expect(called).toEqual([64, 128, 256, 512, 1_024, 1_016]);
  });

  it("is forgotten at a cut: another daemon may have sent it since", () => {
    const { hosts, started } = hanging();
    hosts.clear();
    for (const entry of started) hosts.finish(entry, 1_500);
    expect(hosts.callBack(1_600).ids).toEqual([]);
    expect(hosts.isBusy).toBe(false);
  });
});

describe("settings of a host", () => {
  const set = (
    host: string,
    some: object,
  ): ReadonlyMap<string, { ratePerSecond: null; concurrency: number | null; paused: boolean }> =>
    new Map([[host, { ratePerSecond: null, concurrency: null, paused: false, ...some }]]);

  it("take effect while requests are in flight", () => {
    const hosts = open();
    const started = fill(hosts, "a", 40);
    hosts.configure(set("a", { concurrency: 2 }));
    fill(hosts, "a", 10);
    finish(hosts, started, 38, 10);
    expect(hosts.inFlight).toBe(2);
    hosts.configure(new Map());
    expect(startAll(hosts, 20)).toHaveLength(10);
  });

  it("paused: nothing starts and nothing waits in memory; resumed: it goes on", () => {
    const hosts = open();
    hosts.add(entryFor("a"));
    hosts.configure(set("a", { paused: true }));
    expect(startAll(hosts, 0)).toEqual([]);
    expect(hosts.shed(10, false).map(({ delayMs }) => delayMs <= 5_000)).toEqual([true]);
    expect(hosts.add(entryFor("a"))).toBe(false);
    expect(hosts.add(entryFor("b"))).toBe(true);
    hosts.configure(new Map());
    expect(hosts.add(entryFor("a"))).toBe(true);
    expect(startAll(hosts, 20)).toHaveLength(2);
  });
});
