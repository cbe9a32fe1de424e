import { Readable } from "node:stream";
import { type Socket } from "node:net";
import { expect, test } from "vitest";
import { CrumbPace, paceReads, type ReadWaiter } from "../../src/http/paced-read.ts";
import { turn } from "../support/world-referee.ts";

/** A response of which every `bytesPerPiece` bytes have a piece, of so many bytes of content; Infinity for one without. */
class Response implements ReadWaiter {
  awaitsHead = false;
  pieces = 0;
  bytes = 0;
  contentBytes = 0;
  readonly #bytesPerPiece: number;
  readonly #contentOfPiece: number;

  constructor(bytesPerPiece: number, contentOfPiece = bytesPerPiece) {
    this.#bytesPerPiece = bytesPerPiece;
    this.#contentOfPiece = contentOfPiece;
  }

  responseBegan(): void {}

  take(slice: Buffer): void {
    this.bytes += slice.length;
    const pieces = Math.floor(slice.length / this.#bytesPerPiece);
    this.pieces += pieces;
    if (pieces > 0) this.contentBytes += pieces * this.#contentOfPiece;
  }
}

interface Connection {
  readonly socket: Readable;
  readonly response: Response;
}

/** A socket with `bytes` to be read, and a parser that reads as undici's does. */
function connect(response: Response, bytes: number, pace = new CrumbPace()): Connection {
  const socket = new Readable({ read: () => undefined, highWaterMark: 1 });
  const errors: string[] = [];
  socket.on("error", (error) => errors.push(error.name));
  paceReads(socket as unknown as Socket, () => response, pace);
  socket.on("readable", () => {
    for (let slice = socket.read() as Buffer | null; slice !== null; slice = socket.read() as Buffer | null)
      response.take(slice);
  });
  socket.push(Buffer.alloc(bytes));
  return { socket, response };
}

test("what comes in pieces of ordinary size is read at once", async () => {
  const { response } = connect(new Response(1_000), 500_000);
  await turn();
  expect(response.bytes).toBe(500_000);
});

test("P6: of content in crumbs all connections together read a bounded number in one turn of the event loop, each in its turn", async () => {
  const pace = new CrumbPace();
  const connections = Array.from({ length: 20 }, () => connect(new Response(1), 100_000, pace));
  const total = (): number => connections.reduce((sum, { response }) => sum + response.bytes, 0);
  await turn();
  // At first each may read a slice before anything is known of it.
  expect(total()).toBeLessThanOrEqual(20 * 8_192 + 16_384);
  let before = total();
  while (before < 2_000_000) {
    await turn();
    expect(total() - before).toBeLessThanOrEqual(16_384);
    expect(total()).toBeGreaterThan(before);
    before = total();
    const read = connections.map(({ response }) => response.bytes);
    expect(Math.max(...read) - Math.min(...read)).toBeLessThanOrEqual(2 * 8_192);
  }
});

test.each([
  ["a head", true, 65_536],
  ["what is no content", false, 16_384],
])("P5: %s without an end is given up, and its connection closed", async (_what, awaitsHead, most) => {
  const endless = new Response(Infinity);
  endless.awaitsHead = awaitsHead;
  const { socket } = connect(endless, 500_000);
  await turn();
  expect(socket.destroyed).toBe(true);
  expect(endless.bytes).toBeGreaterThanOrEqual(most);
  expect(endless.bytes).toBeLessThanOrEqual(most + 8_192);
});

test("an answer of which a part is content is not given up", async () => {
  const { socket, response } = connect(new Response(8_192, 512), 500_000);
  await turn();
  expect([socket.destroyed, response.bytes]).toEqual([false, 500_000]);
});

test("P5, P6: one of which hardly anything is content is given up, as one of which nothing is", async () => {
  const { socket, response } = connect(new Response(8_192, 1), 500_000);
  await turn();
  expect(socket.destroyed).toBe(true);
  expect(response.bytes).toBeLessThanOrEqual(16_384 + 2 * 8_192);
});
