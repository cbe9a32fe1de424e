import { expect, test } from "vitest";
import type { OutboxRow } from "../../src/outbox/row.ts";
import { ANSWERED, failed, PAUSED, SenderLab } from "../support/sender-lab.ts";

/** The row of a caller who asked for several tries. */
function retried(row: OutboxRow): OutboxRow {
  const options = { ...row.request.options, maxAttempts: 3 };
  return { ...row, request: { ...row.request, options } };
}

test("P2: a request that failed uses a try up, and its memory is kept until that is stored", async () => {
  const lab = new SenderLab();
  lab.outcome = failed("connect");
  lab.accept(retried(lab.row("a")));
  await lab.start();
  expect(lab.completions).toMatchObject([{ kind: "deferred", outcome: lab.outcome }]);
  expect([lab.released, lab.shortages, lab.sender.inMemory]).toEqual([0, [], 1]);
});

test.each([
  ["aborted", null, []],
  ["shortage", "EMFILE", ["EMFILE"]],
  ["shortage", null, ["shortage"]],
] as const)(
  "P5: a request that ends as %s (%s) has no answer, and gives the memory for one back",
  async (code, detail, causes) => {
    const lab = new SenderLab();
    lab.outcome = failed(code, detail);
    lab.accept(retried(lab.row("a")));
    await lab.start();
    expect([lab.released, lab.shortages, lab.observed]).toEqual([1, causes, ["started a", "ended a null"]]);
  },
);

test("how long a result took to be stored is counted from the end of its try, also of rows that were not sent", async () => {
  const lab = new SenderLab();
  lab.sender.configureHosts(new Map([["a", PAUSED]]));
  lab.accept({ ...lab.row("b"), defect: "url: no" });
  lab.accept(lab.row("", { host: "a" }));
  lab.fill("c", 1);
  lab.clock.advance(3);
  await lab.start();
  expect(lab.completions.map(({ kind }) => kind)).toEqual(["answered", "deferred", "answered"]);
  lab.clock.advance(5);
  lab.sender.settled(lab.completions);
  expect(lab.observed).toEqual([
    "ended b answered",
    "started c",
    "ended c answered",
    "stored 8",
    "stored 8",
    "stored 5",
  ]);
});

test("P5: what is settled once more gives no memory back a second time", async () => {
  const lab = new SenderLab();
  lab.fill("a", 2);
  await lab.start();
  for (const _again of [1, 2]) lab.sender.settled(lab.completions);
  expect([lab.sender.inMemory, lab.sender.memoryBytes]).toEqual([1, 100]);
});

test("the last failure of a lane's host is none before it failed, and stays through answers", async () => {
  const lab = new SenderLab();
  const failures: unknown[] = [];
  for (const outcome of [ANSWERED, failed("connect"), ANSWERED]) {
    lab.outcome = outcome;
    lab.fill("a", 1);
    await lab.start();
    lab.fill("a", 1);
    failures.push(lab.sender.lanes(1)[0]?.lastFailure?.code ?? null);
    await lab.start();
  }
  expect(failures).toEqual([null, "connect", "connect"]);
});

test("P6: a host that failed has no more places than one that was never heard, and one that answered has", async () => {
  const inFlight: number[] = [];
  for (const outcome of [null, failed("timeout"), ANSWERED]) {
    const lab = new SenderLab({
      concurrency: { total: 32, perHost: 32 },
      memory: { requests: 64, bytes: 1e6, perLane: 64 },
    });
    lab.outcome = outcome;
    if (outcome !== null) lab.fill("a", 1);
    await lab.start();
    lab.outcome = null;
    lab.fill("a", 32);
    await lab.start();
    inFlight.push(lab.sender.inFlight);
  }
  expect(inFlight).toEqual([6, 6, 16]);
});

test("P5, P6: requests in flight take three quarters of the bytes in memory, and leave the rest for what comes in", async () => {
  const lab = new SenderLab();
  const hosts = ["a", "b", "c", "d", "e"];
  for (const host of hosts) lab.fill(host, 1);
  await lab.start();
  lab.sender.settled(lab.completions);
  lab.outcome = null;
  for (const host of hosts) lab.accept(lab.row(host, { bytes: 6_000 }));
  await lab.start();
  expect([lab.sender.inFlight, lab.sender.queued]).toEqual([4, 1]);
});

test("P7: a host that was refused a start by its own rate goes on when it is released", async () => {
  const lab = new SenderLab();
  let isFree = false;
  lab.rates.set("a", { isFree: () => isFree, tryTake: () => isFree });
  lab.fill("a", 1);
  await lab.start();
  isFree = true;
  await lab.start();
  expect(lab.sender.queued).toBe(1);
  lab.sender.release("a");
  await lab.start();
  expect(lab.sender.queued).toBe(0);
});

test("P5: a host that was refused a start for want of memory for answers goes on when there is some", async () => {
  const lab = new SenderLab();
  lab.mayStart = false;
  lab.fill("a", 1);
  await lab.start();
  lab.mayStart = true;
  await lab.start();
  expect(lab.sender.queued).toBe(1);
  lab.sender.answersHaveRoom();
  await lab.start();
  expect(lab.sender.queued).toBe(0);
});
