import { describe, expect, it } from "vitest";
import type { HostSettings } from "../../src/outbox/host-settings.ts";
import type { Flight } from "../../src/sending/host.ts";
import { HostScheduler, type Permits } from "../../src/sending/host-scheduler.ts";
import { entryFor, fill, finishAll, FREE, makeResponsive, open, startAll } from "../support/hosts-lab.ts";

describe("P6: places", () => {
  it("one host takes no more than its own limit, no more than it leaves free, and far fewer before it has answered", () => {
    const hosts = open();
    expect(fill(hosts, "a", 1_000)).toHaveLength(45);
    const answering = open();
    makeResponsive(answering, "a");
    expect(fill(answering, "a", 1_000, { now: 10 })).toHaveLength(64);
    const unlimited = open({ perHost: 1_000 });
    makeResponsive(unlimited, "a");
    expect(fill(unlimited, "a", 1_000, { now: 10 })).toHaveLength(128);
    expect(fill(open({ total: 1, perHost: 1 }), "a", 10)).toHaveLength(1);
  });

  it("after twelve hosts that hang a further one still finds three places", () => {
    const hosts = open();
    for (let host = 0; host < 12; host += 1) fill(hosts, `hung${host}`, 100);
    expect(fill(hosts, "good", 10)).toHaveLength(3);
  });

  it("beside a thousand hosts that hang, one that answers soon finds its places", () => {
    const hosts = open();
    makeResponsive(hosts, "good");
    for (let host = 0; host < 1_000; host += 1) fill(hosts, `hung${host}`, 100, { now: 10 });
    expect(fill(hosts, "good", 10, { now: 20 }).map(({ entry }) => entry.host)).toEqual(Array(10).fill("good"));
  });

  it("a place that becomes free goes to a host that had none before those that hang", () => {
    const hosts = open();
    const hung: Flight[] = [];
    for (let host = 0; hosts.inFlight < 224; host += 1) hung.push(...fill(hosts, `hung${host}`, 100));
    expect(fill(hosts, "new", 1)).toEqual([]);
    finishAll(hosts, hung.slice(0, 1), 5_000, false);
    expect(startAll(hosts, 5_000).map(({ entry }) => entry.host)).toEqual(["new"]);
  });

  it("at 200 starts a second a host with 100 of them waits for a few starts, beside a thousand hosts that hang for five seconds", () => {
    const hosts = open();
    makeResponsive(hosts, "good");
    for (let host = 0; host < 1_000; host += 1)
      for (let one = 0; one < 30; one += 1) hosts.add(entryFor(`hung${host}`), 10);
    const ends: { readonly flight: Flight; readonly at: number }[] = [];
    const addedAt: number[] = [];
    let longest = 0;
    let hung = 0;
    for (let now = 20; now < 60_000; now += 5) {
      while (ends[0] !== undefined && ends[0].at <= now) {
        const { flight } = ends.shift() ?? ends[0];
        hosts.finish(flight, flight.entry.host === "good", now);
      }
      if (now % 10 === 0) {
        hosts.add(entryFor("good"), now);
        addedAt.push(now);
      }
      const flight = hosts.start(FREE, now);
      if (flight === null) continue;
      const isGood = flight.entry.host === "good";
      if (isGood) longest = Math.max(longest, now - (addedAt.shift() ?? 0));
      else hung += 1;
      ends.push({ flight, at: now + (isGood ? 5 : 5_000) });
      ends.sort((one, other) => one.at - other.at);
    }
    expect(longest).toBeLessThanOrEqual(15);
    expect(addedAt.length).toBeLessThan(3);
    expect(hung).toBeGreaterThan(1_000);
  });

  it("a host that answered once and hangs now has no right to the last places", () => {
    const hosts = open();
    makeResponsive(hosts, "turned");
    for (let round = 0; round < 4; round += 1) finishAll(hosts, fill(hosts, "turned", 8, { now: 10 }), 5_010, false);
    for (let host = 0; host < 300; host += 1) fill(hosts, `hung${host}`, 100, { now: 5_020 });
    expect(fill(hosts, "turned", 1, { now: 5_030 })).toEqual([]);
  });

  it("a host that answers soon has no right to the last places while a request has hung for a second", () => {
    const hosts = open();
    makeResponsive(hosts, "turned");
    const [hangs] = fill(hosts, "turned", 1, { now: 10 });
    for (let host = 0; host < 300; host += 1) fill(hosts, `hung${host}`, 100, { now: 10 });
    const soon = fill(hosts, "turned", 1, { now: 1_000 });
    expect(soon).toHaveLength(1);
    finishAll(hosts, soon, 1_005);
    expect(fill(hosts, "turned", 1, { now: 1_010 })).toEqual([]);
    finishAll(hosts, hangs === undefined ? [] : [hangs], 1_015);
    expect(startAll(hosts, 1_015)).toHaveLength(1);
  });

  it("all of a host's requests are started in the end, whatever held them back", () => {
    const hosts = open({ total: 8, perHost: 4 });
    for (let host = 0; host < 5; host += 1) for (let one = 0; one < 20; one += 1) hosts.add(entryFor(`h${host}`), 0);
    let now = 0;
    let ended = 0;
    for (let flights = startAll(hosts, now); flights.length > 0; flights = startAll(hosts, now)) {
      now += 3_000;
      finishAll(hosts, flights, now, now % 2 === 0);
      ended += flights.length;
    }
    expect([ended, hosts.queued, hosts.inFlight]).toEqual([100, 0, 0]);
  });

  it("large bodies in flight to one host leave as many bytes to others", () => {
    const hosts = open({ bytes: 64e6 });
    expect(fill(hosts, "hung", 64, { bytes: 1e6 }).length).toBeLessThanOrEqual(33);
    expect(fill(hosts, "good", 10, { bytes: 1e6 })).toHaveLength(10);
  });

  it("bytes of large requests are not counted: memory holds few of them", () => {
    const hosts = open({ bytes: 64e6 });
    expect(fill(hosts, "hung", 1, { bytes: 60e6 })).toHaveLength(1);
    expect(fill(hosts, "good", 10, { bytes: 1e6 })).toHaveLength(10);
    expect(fill(hosts, "hung", 1, { bytes: 100 })).toHaveLength(1);
  });
});

describe("P6: turns", () => {
  /** Starts `count` with one permit at a time, each ended after what its host takes. */
  function serve(hosts: HostScheduler, count: number, tookMs: (host: string) => number): string[] {
    const order: string[] = [];
    let now = 0;
    const running: { readonly flight: Flight; readonly endsAt: number }[] = [];
    while (order.length < count) {
      now += 5;
      for (const one of running.filter(({ endsAt }) => endsAt <= now)) {
        hosts.finish(one.flight, true, one.endsAt);
        running.splice(running.indexOf(one), 1);
      }
      const flight = hosts.start(FREE, now);
      if (flight === null) continue;
      order.push(flight.entry.lane);
      running.push({ flight, endsAt: now + tookMs(flight.entry.host) });
    }
    return order;
  }

  const share = (order: readonly string[], name: string): number =>
    order.filter((one) => one === name).length / order.length;

  it("a single request to another host is the next to start behind any number", () => {
    const hosts = open();
    for (let one = 0; one < 4_000; one += 1) hosts.add(entryFor("a"), 0);
    serve(hosts, 100, () => 2);
    hosts.add(entryFor("b"), 500);
    expect(serve(hosts, 2, () => 2)).toContain("b");
  });

  it("hosts that take different times, all short, have the same share of the permits", () => {
    const hosts = open();
    for (let one = 0; one < 1_000; one += 1)
      for (const name of ["refuses", "quick", "slow"]) hosts.add(entryFor(name), 0);
    const order = serve(hosts, 900, (host) => (host === "refuses" ? 0 : host === "quick" ? 5 : 300));
    for (const name of ["refuses", "quick", "slow"]) expect(share(order, name)).toBeCloseTo(1 / 3, 1);
  });

  it("lanes of one host have the same share, and a quiet one is the next to start", () => {
    const hosts = open();
    for (let one = 0; one < 100; one += 1)
      for (let lane = 0; lane < 20; lane += 1) hosts.add(entryFor("a", { lane: `tenant ${lane}` }), 0);
    const order = serve(hosts, 400, () => 3);
    for (let lane = 0; lane < 20; lane += 1) expect(share(order, `tenant ${lane}`)).toBeCloseTo(1 / 20, 2);
    hosts.add(entryFor("a", { lane: "quiet" }), 2_000);
    expect(serve(hosts, 2, () => 3)).toContain("quiet");
  });

  it("within a lane the first to come is the first to start", () => {
    const hosts = open({ perHost: 2 });
    const started: bigint[] = [];
    for (let one = 0; one < 50; one += 1) hosts.add(entryFor("a"), 0);
    for (let flights = startAll(hosts, 0); flights.length > 0; flights = startAll(hosts, 0)) {
      started.push(...flights.map(({ entry }) => entry.request.id));
      finishAll(hosts, flights, 1);
    }
    expect(started).toEqual(started.toSorted((one, other) => Number(one - other)));
    expect(started).toHaveLength(50);
  });
});

describe("settings of a host", () => {
  const set = (host: string, some: Partial<HostSettings>): ReadonlyMap<string, HostSettings> =>
    new Map([[host, { ratePerSecond: null, concurrency: null, paused: false, ...some }]]);

  it("take effect while requests are in flight", () => {
    const hosts = open();
    const started = fill(hosts, "a", 40);
    hosts.configure(set("a", { concurrency: 2 }), 0);
    fill(hosts, "a", 10);
    finishAll(hosts, started.splice(0, 38), 10);
    expect([startAll(hosts, 10).length, hosts.inFlight]).toEqual([0, 2]);
    hosts.configure(new Map(), 20);
    expect(startAll(hosts, 20)).toHaveLength(10);
  });

  it("paused: what waits is given up; resumed: it goes on", () => {
    const hosts = open();
    hosts.add(entryFor("a"), 0);
    expect(hosts.configure(set("a", { paused: true }), 0)).toHaveLength(1);
    expect([hosts.isPaused("a"), hosts.isPaused("b"), hosts.queued]).toEqual([true, false, 0]);
    hosts.configure(new Map(), 10);
    expect(fill(hosts, "a", 2, { now: 10 })).toHaveLength(2);
  });

  it("a host whose own rate has no permit keeps nobody queued, and goes on when it has one", () => {
    let allowed = 1;
    const rate: Permits = { isFree: () => allowed > 0, tryTake: () => allowed-- > 0 };
    const hosts = new HostScheduler({ total: 256, perHost: 64, bytes: 1e9, largeFrom: 1e9, perSecond: 200 }, (host) =>
      host === "limited" ? rate : null,
    );
    expect(fill(hosts, "limited", 10)).toHaveLength(1);
    expect(fill(hosts, "free", 10)).toHaveLength(10);
    allowed = 2;
    hosts.release("limited", 10);
    expect(startAll(hosts, 10)).toHaveLength(2);
  });

  it("of a lane that is given up the later half goes, and the other lanes of its host stay", () => {
    const hosts = open({ perHost: 1 });
    for (const lane of ["a x", "a y", "a x", "a x"]) hosts.add(entryFor("a", { lane }), 0);
    expect(hosts.giveUp("a x").map(({ lane }) => lane)).toEqual(["a x", "a x"]);
    expect([hosts.giveUp("a x").length, hosts.giveUp("a x").length, hosts.giveUp("b").length]).toEqual([1, 0, 0]);
    expect([hosts.queued, startAll(hosts, 0).map(({ entry }) => entry.lane)]).toEqual([1, ["a y"]]);
  });

  it("of a lane whose requests may go to several hosts the later half goes for each", () => {
    const hosts = open({ perHost: 1 });
    for (const host of ["a", "b", "a", "b"]) hosts.add(entryFor(host, { lane: "" }), 0);
    expect(hosts.giveUp("").map(({ host }) => host)).toEqual(["a", "b"]);
    expect(hosts.queued).toBe(2);
  });
});
