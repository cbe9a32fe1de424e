import { expect, test } from "vitest";
import { ANSWERED, failed, PAUSED, SenderLab } from "../support/sender-lab.ts";
import { turn } from "../support/world-referee.ts";

test("P5: a lane holds as many requests as it may have queued", () => {
  const lab = new SenderLab();
  lab.fill("a", 8);
  expect([lab.accept(lab.row("a")), lab.sender.queued, lab.sender.inMemory]).toEqual([false, 8, 8]);
});

test("a sweep may bring what is free, and of each lane what it has room for", () => {
  const lab = new SenderLab();
  expect(lab.sender.room).toEqual({
    rows: 28,
    bytes: 28_000,
    largest: Number.MAX_SAFE_INTEGER,
    perLane: 8,
    authorities: [],
    shares: [],
  });
  lab.fill("a", 3);
  expect(lab.sender.room).toMatchObject({ rows: 25, bytes: 27_700, shares: [{ lane: "a", queued: 3, room: 5 }] });
});

test("P6: where memory is full a sweep may bring a little of lanes of which nothing is queued, and nothing of others", () => {
  const lab = new SenderLab();
  for (const lane of ["a", "b", "c"]) lab.fill(lane, 8);
  lab.fill("d", 2);
  expect([lab.sender.hasRoom, lab.sender.room.rows]).toEqual([true, 2]);
  lab.fill("d", 1);
  expect(lab.sender.hasRoom).toBe(false);
  expect(lab.sender.room).toMatchObject({ rows: 2, bytes: 2_000, perLane: 8 });
  expect(lab.sender.room.shares.map(({ room }) => room)).toEqual([0, 0, 0, 0]);
});

/** Memory of which lanes of hosts that never answered have all that they may have, and one answer of `good`. */
async function filledByOthers(): Promise<SenderLab> {
  const lab = new SenderLab();
  lab.fill("good", 1);
  await lab.start();
  lab.sender.settled(lab.completions);
  lab.outcome = null;
  for (const lane of ["a", "b", "c"]) lab.fill(lane, 8);
  lab.fill("d", 6);
  return lab;
}

test("P6: lanes of responsive hosts are to be read soon, and those of which nothing is queued", async () => {
  const lab = await filledByOthers();
  lab.fill("good", 1);
  expect(["good", "a", "new"].map((lane) => lab.sender.isWantedSoon(lane))).toEqual([true, false, true]);
  lab.clock.advance(60_000);
  expect(["good", "a", "new"].map((lane) => lab.sender.isWantedSoon(lane))).toEqual([false, false, true]);
});

test("P6: all lanes of a responsive host come first, in seven sweeps of eight; in the other those of which nothing waits", async () => {
  const lab = new SenderLab();
  lab.accept(lab.row("good a", { host: "good" }));
  await lab.start();
  lab.sender.settled(lab.completions);
  lab.outcome = null;
  for (const lane of ["good a", "good b", "bad", "dead"]) lab.fill(lane, 8);
  const open = (): unknown => {
    const { shares, authorities } = lab.sender.roomOf(["good a", "good b", "bad", "new"]);
    return [shares.map(({ lane, queued }) => [lane, queued < 0]), authorities];
  };
  expect(open()).toEqual([[["new", false]], ["good"]]);
  for (let one = 0; one < 2; one++) lab.sender.clear();
  for (const lane of ["good a", "good b", "bad", "dead"]) lab.fill(lane, 7);
  const preferring = [
    ["good a", true],
    ["good b", false],
    ["new", false],
  ];
  expect(open()).toEqual([preferring, ["good"]]);
  lab.random = 7 / 8;
  expect(open()).toEqual([[["new", false]], []]);
  lab.random = 0;
  expect(["good b", "bad"].map((lane) => lab.sender.isWantedSoon(lane))).toEqual([true, false]);
});

/** Sends one request of each of `lanes`, and has its result stored. */
async function sendEach(lab: SenderLab, lanes: readonly string[]): Promise<void> {
  for (const lane of lanes) {
    lab.fill(lane, 1);
    await lab.start();
    lab.sender.settled(lab.completions.splice(0));
  }
}

test("P6: of the lanes that had an answer the latest thousand are to be read soon, whatever fails meanwhile", async () => {
  const lab = new SenderLab();
  const lanes = Array.from({ length: 1_000 }, (_, index) => `l${index}`);
  await sendEach(lab, lanes);
  lab.outcome = failed("connect");
  await sendEach(lab, ["bad1", "bad2", "bad3"]);
  lab.outcome = null;
  const wanted = (): boolean[] => ["l0", "l1", "l2"].map((lane) => lab.sender.isWantedSoon(lane));
  for (const lane of ["l0", "l1", "l2"]) lab.fill(lane, 1);
  expect(wanted()).toEqual([true, true, true]);
  lab.sender.clear();
  lab.outcome = ANSWERED;
  await sendEach(lab, ["l0", "new"]);
  lab.outcome = null;
  for (const lane of ["l0", "l1", "l2"]) lab.fill(lane, 1);
  expect(wanted()).toEqual([true, false, true]);
});

test("a rate is a limit unless it is unlimited", () => {
  const limited = ([1, "unlimited"] as const).map((perSecond) => new SenderLab({ perSecond }).sender.isLimited);
  expect(limited).toEqual([true, false]);
});

test("P6: what is queued lasts where it is what starts in two seconds, and half of what memory holds without a limit", () => {
  const stocked = ([300, 800, "unlimited"] as const).map((perSecond) => {
    const lab = new SenderLab({ perSecond, memory: { requests: 1_400, bytes: 1 << 20, perLane: 1_000 } });
    const at = (count: number): boolean => {
      lab.fill("a", count - lab.sender.queued);
      return lab.sender.isStocked;
    };
    return [at(599), at(600), at(699), at(700)];
  });
  expect(stocked).toEqual([
    [false, true, true, true],
    [false, false, false, false],
    [false, false, false, true],
  ]);
});

test("P6: memory is full where a sixteenth of its bytes is not free for a sweep", () => {
  const free = [26_000, 26_001].map((bytes) => {
    const lab = new SenderLab();
    for (let left = bytes; left > 0; left -= 6_500) lab.accept(lab.row(`l${left}`, { bytes: Math.min(left, 6_500) }));
    return lab.sender.hasRoom;
  });
  expect(free).toEqual([true, false]);
});

test("P6: lanes of hosts that answer soon come before all others in a sweep, also where memory is full", async () => {
  const lab = new SenderLab();
  lab.fill("good", 1);
  await lab.start();
  lab.sender.settled(lab.completions);
  lab.outcome = null;
  for (const lane of ["a", "b", "c"]) lab.fill(lane, 8);
  lab.fill("good", 3);
  const [first, ...others] = lab.sender.room.shares;
  expect(first).toMatchObject({ lane: "good", room: 5 });
  expect(first?.queued).toBeLessThan(0);
  expect(others.map(({ lane, room }) => [lane, room])).toEqual([
    ["a", 0],
    ["b", 0],
    ["c", 0],
  ]);
  lab.random = 7 / 8;
  expect(lab.sender.room.shares.map(({ queued, room }) => [queued >= 0, room])).toEqual(Array(4).fill([true, 0]));
  lab.random = 0;
  lab.clock.advance(60_000);
  expect(lab.sender.room.shares.every(({ queued }) => queued >= 0)).toBe(true);
});

test("P6: for a row that does not fit the later half of the longest lane is given up", () => {
  const lab = new SenderLab();
  lab.fill("long", 8);
  for (let lane = 0; lane < 12; lane++) lab.fill(`short${lane}`, 2);
  expect(lab.accept(lab.row("new"))).toBe(true);
  expect([lab.events, lab.sender.inMemory, lab.sender.queued]).toEqual([["given up long"], 29, 29]);
  expect(lab.sender.known.slice(0, 5).map(({ id }) => id)).toEqual([1n, 2n, 3n, 4n, 9n]);
  expect(lab.sender.memoryBytes).toBe(2_900);
});

test("P6: a row of the longest lane has to stay in the outbox where it does not fit", () => {
  const lab = new SenderLab();
  for (let lane = 0; lane < 16; lane++) lab.fill(`l${lane}`, 2);
  expect([lab.accept(lab.row("l0")), lab.events]).toEqual([false, []]);
});

test("P6: a lane of which rows are held and none is queued yet is not asked for room", () => {
  const lab = new SenderLab();
  for (let row = 0; row < 8; row++) lab.sender.hold("held", 100);
  for (let lane = 0; lane < 12; lane++) lab.fill(`l${lane}`, 2);
  expect([lab.accept(lab.row("new")), lab.events]).toEqual([false, []]);
});

test("a lane is low while at least half of what may wait of it does not, and says so when it starts", async () => {
  const lab = new SenderLab();
  lab.fill("a", 4);
  expect(lab.sender.isLow("a")).toBe(true);
  lab.fill("a", 2);
  expect(lab.sender.isLow("a")).toBe(false);
  await lab.start();
  expect(lab.events).toEqual(["ended"]);
  await lab.start();
  expect(lab.events).toEqual(["ended", "low a", "ended"]);
});

test("rows of a paused host stay in the outbox, and its lanes are looked after when it goes on", () => {
  const lab = new SenderLab();
  lab.fill("a", 2);
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  expect([lab.events.splice(0), lab.sender.inMemory, lab.sender.memoryBytes]).toEqual([
    ["given up a", "given up a"],
    0,
    0,
  ]);
  expect([lab.sender.staysInOutbox(lab.row("a of b", { host: "a" })), lab.sender.staysInOutbox(lab.row("b"))]).toEqual([
    true,
    false,
  ]);
  expect([lab.share("a"), lab.share("a of b"), lab.share("b")]).toEqual([
    { lane: "a", queued: 0, room: 0 },
    { lane: "a of b", queued: 0, room: 0 },
    undefined,
  ]);
  expect([lab.sender.isLow("a"), lab.sender.isLow("b"), lab.sender.load.lanesPaused]).toEqual([false, true, 2]);
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  expect(lab.events).toEqual([]);
  lab.sender.configureHosts(new Map());
  expect([lab.events, lab.sender.isLow("a"), lab.sender.load.lanesPaused]).toEqual([["low a", "low a of b"], true, 0]);
});

test("P6: a paused lane is not read before others, however soon its host answered", async () => {
  const lab = new SenderLab();
  lab.fill("a", 1);
  await lab.start();
  lab.sender.settled(lab.completions);
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  expect(lab.sender.staysInOutbox(lab.row("a"))).toBe(true);
  expect(lab.sender.room.shares).toEqual([{ lane: "a", queued: 0, room: 0 }]);
});

test("P6: in a lane that has requests to several hosts, those to a paused host are deferred, and stop no other", async () => {
  const lab = new SenderLab();
  const [to, other] = [lab.row("", { host: "a" }), lab.row("", { host: "b" })];
  lab.accept(lab.row("", { host: "a" }));
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  expect(lab.events.splice(0)).toEqual(["given up "]);
  expect([lab.sender.staysInOutbox(to), lab.sender.load.lanesPaused, lab.share("")]).toEqual([false, 0, undefined]);
  lab.accept(to);
  lab.accept(other);
  await lab.start();
  expect(lab.completions).toMatchObject([
    { kind: "deferred", request: to.request, outcome: null, delayMs: 10_000 },
    { kind: "answered", request: other.request },
  ]);
  lab.sender.settled(lab.completions);
  expect([lab.sender.inMemory, lab.sender.memoryBytes, lab.events]).toEqual([0, 0, ["low ", "ended"]]);
});

test("the busiest lanes come first, those in flight and those that are paused among them", async () => {
  const lab = new SenderLab();
  lab.outcome = null;
  lab.fill("a", 2);
  lab.fill("b", 3);
  lab.sender.configureHosts(new Map([["p", PAUSED]]));
  lab.sender.staysInOutbox(lab.row("p"));
  await lab.start();
  const lane = { isPaused: false, lastFailure: null };
  expect(lab.sender.lanes(3)).toEqual([
    { ...lane, lane: "b", host: "b", queued: 2, inFlight: 1 },
    { ...lane, lane: "a", host: "a", queued: 1, inFlight: 1 },
    { ...lane, lane: "p", host: "p", queued: 0, inFlight: 0, isPaused: true },
  ]);
  expect(lab.sender.lanes(1)).toHaveLength(1);
});

test("the busiest lanes come first whichever was there first, and one that is paused with requests in flight comes once", async () => {
  const lab = new SenderLab();
  lab.outcome = null;
  lab.fill("b", 3);
  lab.fill("a", 2);
  await lab.start();
  expect(lab.sender.lanes(9).map(({ lane }) => lane)).toEqual(["b", "a"]);
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  expect(lab.sender.staysInOutbox(lab.row("a"))).toBe(true);
  expect(lab.sender.lanes(9)).toMatchObject([
    { lane: "b", queued: 2, inFlight: 1, isPaused: false },
    { lane: "a", queued: 0, inFlight: 1, isPaused: true },
  ]);
});

test("P3: a row that is in memory already is not sent again, and gives its place back", async () => {
  const lab = new SenderLab();
  lab.accept(lab.row("a", { id: 7n }));
  lab.accept(lab.row("a", { id: 7n }));
  expect([lab.sender.inMemory, lab.sender.queued, lab.sender.memoryBytes]).toEqual([1, 1, 100]);
  await lab.start();
  lab.sender.settled(lab.completions);
  expect([lab.completions.length, lab.events.at(-1), lab.sender.memoryBytes]).toEqual([1, "seen again", 0]);
});

test("a row with a defect is answered at once, and holds its place until that is stored", () => {
  const lab = new SenderLab();
  lab.accept({ ...lab.row("a"), defect: "url: no" });
  expect(lab.completions).toMatchObject([{ kind: "answered", outcome: { kind: "failed", code: "bad_request" } }]);
  expect([lab.sender.queued, lab.sender.inMemory, lab.share("a")]).toEqual([0, 1, undefined]);
  lab.sender.settled(lab.completions);
  expect([lab.sender.inMemory, lab.sender.memoryBytes]).toEqual([0, 0]);
});

test("P6: a row that ends unsent stays in the outbox while what its host has to be stored holds its share", () => {
  const lab = new SenderLab();
  const unsent = [
    { ...lab.row("a"), defect: "url: no" },
    { ...lab.row("a"), isForeign: true },
  ];
  const stays = (): boolean[] => [...unsent, lab.row("a")].map((row) => lab.sender.staysInOutbox(row));
  expect(stays()).toEqual([false, false, false]);
  lab.mayStart = false;
  expect(stays()).toEqual([true, true, false]);
  lab.sender.configureHosts(new Map([["b", PAUSED]]));
  expect(lab.sender.staysInOutbox(lab.row("", { host: "b" }))).toBe(true);
});

test("P6: what ends unsent has memory for its answer, which is given back when it is stored", () => {
  const lab = new SenderLab();
  lab.sender.configureHosts(new Map([["b", PAUSED]]));
  lab.accept({ ...lab.row("a"), defect: "url: no" });
  lab.accept(lab.row("", { host: "b" }));
  expect(lab.memories).toEqual([lab.memory, lab.memory]);
});

test("what waits in a lane that has become slow is given up, but for as many as start in four seconds", async () => {
  const lab = new SenderLab({ memory: { requests: 256, bytes: 32_000, perLane: 100 } });
  lab.outcome = null;
  lab.fill("a", 100);
  lab.fill("b", 30);
  await lab.start();
  expect(lab.events.splice(0)).toEqual(["low b"]);
  lab.clock.advance(1_000);
  await lab.start();
  expect(lab.events).toEqual(["given up a", "given up a"]);
  expect([lab.sender.queued, lab.share("a"), lab.share("b")]).toEqual([
    24 + 29,
    { lane: "a", queued: 24, room: 0 },
    { lane: "b", queued: 29, room: 0 },
  ]);
  expect(lab.sender.memoryBytes).toBe((24 + 29 + 2) * 100);
});

test("P2: what this daemon breaks off has no result, and is the outbox's again", async () => {
  const lab = new SenderLab();
  lab.outcome = failed("aborted");
  lab.fill("a", 1);
  await lab.start();
  expect([lab.completions, lab.sender.inMemory, lab.sender.memoryBytes, lab.events]).toEqual([
    [],
    0,
    0,
    ["low a", "ended"],
  ]);
});

test("P2: what was not started is given up, and what is in flight is waited for", async () => {
  const lab = new SenderLab();
  lab.fill("a", 3);
  lab.sender.start();
  lab.sender.clear();
  expect([lab.sender.queued, lab.sender.inFlight, lab.sender.inMemory]).toEqual([0, 1, 1]);
  let isEmpty = false;
  const empty = lab.sender.empty(new AbortController().signal).then(() => (isEmpty = true));
  await turn();
  expect(isEmpty).toBe(false);
  lab.sender.settled(lab.completions);
  await empty;
  expect([lab.sender.inMemory, lab.sender.memoryBytes]).toEqual([0, 0]);
  lab.outcome = null;
  lab.fill("b", 1);
  await lab.sender.empty(AbortSignal.abort());
});

test("the failure of a host that came last is known of its lanes", async () => {
  const lab = new SenderLab();
  lab.outcome = { ...ANSWERED, status: 503 };
  lab.clock.advance(70);
  lab.fill("a", 1);
  await lab.start();
  lab.outcome = null;
  lab.fill("a", 1);
  expect(lab.sender.lanes(1)[0]?.lastFailure).toEqual({ code: "503", at: 70 });
});
