import { setTimeout as delay } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { AnswerBudget } from "../../src/limits/answer-budget.ts";
import { type AnswerMemory, UNBOUNDED } from "../../src/limits/answer-memory.ts";
import type { HttpClient } from "../../src/http/client.ts";
import type { Outcome } from "../../src/http/outcome.ts";
import { eventually } from "../support/eventually.ts";
import { always, httpPeer, requestOf, response, testClient } from "../support/http-peer.ts";
import { liveBytes } from "../support/live-heap.ts";

const MB = 1024 * 1024;

/** A budget in which one destination may receive one answer of 1 MiB at a time. */
function smallBudget(): AnswerBudget {
  const bounds = { bytes: 5 * MB, largest: MB, inFlight: 16, requests: 1_000 };
  return new AnswerBudget({ bounds, clock: { now: () => performance.now() }, onRoom: () => undefined });
}

function send(client: HttpClient, url: string, memory: AnswerMemory, timeoutMs = 5_000): Promise<Outcome> {
  return client.send(requestOf(url, { timeoutMs }), { idempotencyKey: null, memory });
}

describe("an answer without memory", () => {
  test("P6: is not read until another of its destination is stored, and its time does not run meanwhile", async () => {
    await using peer = await httpPeer(always(Buffer.alloc(MB - 1, "x")));
    await using client = testClient({ maxResponseBytes: MB });
    const url = `http://127.0.0.1:${peer.port}/`;
    const budget = smallBudget();
    const [one, two] = [budget.open("a"), budget.open("a")];
    const first = await send(client, url, one);
    one.finish(MB);
    const second = send(client, url, two, 500);
    await eventually(() => two.waitedMs > 1_000);
    expect(budget.mayStart("a")).toBe(false);
    expect(await send(client, url, budget.open("b"))).toMatchObject({ kind: "answered" });
    one.release();
    expect(await second).toMatchObject({ kind: "answered" });
    expect(first).toMatchObject({ kind: "answered" });
  });

  test.each([
    ["that ends with its connection", "Connection: close\r\n\r\n"],
    ["whose server closes its connection", `Content-Length: ${MB - 1}\r\nConnection: close\r\n\r\n`],
    ["in chunks", `Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${(MB - 1).toString(16)}\r\n`],
  ])("%s is received whole after its wait", async (_what, head) => {
    const content = Buffer.alloc(MB - 1, "content ");
    await using peer = await httpPeer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}`);
      socket.end(Buffer.concat([content, Buffer.from(head.includes("chunked") ? "\r\n0\r\n\r\n" : "")]));
    });
    await using client = testClient({ maxResponseBytes: MB });
    const budget = smallBudget();
    const [one, two] = [budget.open("a"), budget.open("a")];
    const url = `http://127.0.0.1:${peer.port}/`;
    await send(client, url, one);
    one.finish(MB);
    const second = send(client, url, two);
    await eventually(() => two.waitedMs > 300);
    one.release();
    const outcome = await second;
    expect(outcome.kind === "answered" && outcome.content.equals(content)).toBe(true);
  });

  test("ends as an error that says so when nothing of its destination gets on for a minute", async () => {
    await using peer = await httpPeer(always(Buffer.alloc(MB - 1, "x")));
    await using client = testClient({ maxResponseBytes: MB });
    const stuck: AnswerMemory = { ...UNBOUNDED, received: () => false, waitedMs: 61_234, stuckMs: 60_000 };
    expect(await send(client, `http://127.0.0.1:${peer.port}/`, stuck)).toMatchObject({
      code: "no_memory",
      message: "Out of memory: the answer waited 61234 ms for a part of results.memoryBytes",
      maybeReceived: true,
    });
    await eventually(() => peer.open === 0);
  });

  test("that was broken off, or too late in the end, says that it had waited", async () => {
    await using peer = await httpPeer((socket, { head }) => {
      socket.write(response(Buffer.alloc(1_000)).subarray(0, -1));
      if (head.startsWith("GET /cut ")) socket.resetAndDestroy();
    });
    await using client = testClient();
    const waited: AnswerMemory = { ...UNBOUNDED, waitedMs: 1_234.5 };
    const url = `http://127.0.0.1:${peer.port}`;
    const note = " (not received for 1235 ms, for want of memory: see results.memoryBytes)";
    const cut = await send(client, `${url}/cut`, waited);
    expect(cut).toMatchObject({ code: "bad_reply", message: expect.stringContaining(note) as string });
    const late = await send(client, `${url}/late`, waited, 100);
    expect(late).toMatchObject({ code: "timeout", message: expect.stringContaining(note) as string });
  });

  test("is given up at once when the client is closed", async () => {
    await using peer = await httpPeer(always(Buffer.alloc(MB - 1, "x")));
    const client = testClient({ maxResponseBytes: MB });
    const memory: AnswerMemory = { ...UNBOUNDED, received: () => false };
    const outcome = send(client, `http://127.0.0.1:${peer.port}/`, memory);
    await eventually(() => peer.received.length === 1);
    await client[Symbol.asyncDispose]();
    expect(await outcome).toMatchObject({ code: "aborted" });
  });
});

describe("an answer that is decoded", () => {
  test.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
    ["gzip, br", (content: Buffer) => brotliCompressSync(gzipSync(content))],
  ] as const)(
    "P5: %s to more than there is room for waits for its turn, and its time does not run",
    async (encoding, encode) => {
      const content = Buffer.alloc(MB, "content ");
      await using peer = await httpPeer(always(encode(content), [`Content-Encoding: ${encoding}`]));
      await using client = testClient({ maxResponseBytes: MB });
      const budget = smallBudget();
      const [one, two] = [budget.open("a"), budget.open("a")];
      const url = `http://127.0.0.1:${peer.port}/`;
      const outcome = await send(client, url, one);
      expect(outcome.kind === "answered" && outcome.content.equals(content)).toBe(true);
      one.finish(MB);
      const second = send(client, url, two, 500);
      await eventually(() => two.waitedMs > 700);
      one.release();
      expect(await second).toMatchObject({ kind: "answered" });
    },
  );

  test("beyond what an answer may have is too large, and leaves its turn to the next", async () => {
    const [bomb, other] = [50 * MB, MB].map((bytes) =>
      response(gzipSync(Buffer.alloc(bytes)), ["Content-Encoding: gzip"]),
    );
    await using peer = await httpPeer((socket, { head }) =>
      socket.write((head.startsWith("GET /bomb ") ? bomb : other) ?? ""),
    );
    await using client = testClient({ maxResponseBytes: MB });
    const budget = smallBudget();
    const url = `http://127.0.0.1:${peer.port}`;
    const bombs = Array.from({ length: 5 }, () => budget.open("bombs"));
    const outcomes = bombs.map(async (memory) => {
      const outcome = await send(client, `${url}/bomb`, memory);
      memory.release();
      return outcome;
    });
    const memory = budget.open("other");
    expect(await send(client, `${url}/`, memory)).toMatchObject({ kind: "answered" });
    memory.finish(MB);
    expect((await Promise.all(outcomes)).map((one) => one.kind === "failed" && one.code)).toEqual(
      bombs.map(() => "too_large"),
    );
  });
});

test.each([
  ["a head of 60,000 fields", "HTTP/1.1 200 OK\r\n"],
  ["60,000 fields of a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"],
])("P5: %s takes no more memory than its bytes, and ends as an error", async (_what, start) => {
  const fields = "a:\r\n".repeat(60_000);
  await using peer = await httpPeer((socket) => socket.write(start + fields));
  await using client = testClient({ connectionsPerOrigin: 16 });
  const before = await liveBytes();
  const url = `http://127.0.0.1:${peer.port}/`;
  const outcomes = Array.from({ length: 16 }, () => send(client, url, UNBOUNDED, 3_000));
  await delay(1_500);
  expect(((await liveBytes()) - before) / MB).toBeLessThan(20);
  const codes = (await Promise.all(outcomes)).map((outcome) => outcome.kind === "failed" && outcome.code);
  expect(new Set(codes)).toEqual(new Set(["too_large"]));
});
