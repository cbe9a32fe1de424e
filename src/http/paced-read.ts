import { type Socket } from "node:net";
import { errors } from "undici";
import { type HeadWaiter } from "./head.ts";

/** Who is handed what comes over a connection. */
export interface ReadWaiter extends HeadWaiter {
  /** Pieces of the response so far: its head, and each piece of content that was handed on. */
  readonly pieces: number;
  /** Bytes of content among them, as received. */
  readonly contentBytes: number;
}

/** Read at once, in bytes. */
const SLICE_BYTES = 8_192;
/** A head, with the interim responses before it, is not longer than this in bytes. */
const MOST_HEAD_BYTES = 65_536;
/** Nor is what comes beside content: lengths, extensions, trailers; line ends while nobody waits. */
const MOST_BESIDE_BYTES = 16_384;
/** Beyond that, each byte of content may have so many beside it: one that is a chunk of its own has five. */
const BESIDE_EACH_BYTE = 32;
/** Content of which a slice has more pieces than this comes in crumbs. */
const MANY_PIECES = 256;
/** Crumbs read in one turn of the event loop, which takes some milliseconds. */
const PIECES_IN_A_TURN = 8_192;

/** Crumbs of all connections together: those beyond what one turn of the event loop reads are read in the next. */
export class CrumbPace {
  #pieces = 0;
  #waiting: (() => void)[] = [];
  #isPlanned = false;

  /** Counts crumbs; true where no more should be read in this turn. */
  count(pieces: number): boolean {
    this.#pieces += pieces;
    this.#plan();
    return this.#pieces >= PIECES_IN_A_TURN;
  }

  /** Calls `goOn` in a later turn. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isPlanned = false;
    this.#pieces = 0;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [at, goOn] of waiting.entries()) {
      if (this.#pieces >= PIECES_IN_A_TURN) {
        this.#waiting.unshift(...waiting.slice(at));
        break;
      }
      goOn();
    }
    if (this.#waiting.length > 0) this.#plan();
  }
}

/** Why a connection is closed over which too much came while `waiting` waited. */
export function overflowOf(waiting: ReadWaiter | null): Error {
  // A request that comes at this very moment is not to fail for it.
  return waiting === null ? new errors.SocketError("nobody waits") : new errors.HeadersOverflowError();
}

/**
 * P5, P6: reads a connection in slices, and checks after each what came of it. Fields of a head or trailer take some hundred
 * times their bytes while undici collects them, and what comes beside content may be without end: a response that brings too
 * much of either is given up. So is a connection without a request over which line ends come and come, the only thing that
 * undici passes over there. And a response whose content comes in crumbs takes long to read: it keeps to the pace.
 */
export function paceReads(socket: Socket, waiter: () => ReadWaiter | null, pace: CrumbPace): void {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  let last: ReadWaiter | null = null;
  let awaitedHead = false;
  let pieces = 0;
  let contentBytes = 0;
  let length = 0;
  let beside = 0;
  let isWaiting = false;
  const goOn = (): void => {
    isWaiting = false;
    if (!socket.destroyed) socket.emit("readable");
  };
  socket.read = (size?: number): Buffer | null => {
    if (size !== undefined) return read(size); // The stream itself, which asks with 0 whether there is more.
    if (isWaiting) return null;
    const waiting = waiter();
    const awaitsHead = waiting?.awaitsHead === true;
    const isSame = waiting === last && awaitsHead === awaitedHead;
    const hadPieces = pieces;
    pieces = waiting?.pieces ?? 0;
    const came = isSame ? pieces - hadPieces : 0;
    const hadBytes = contentBytes;
    contentBytes = waiting?.contentBytes ?? 0;
    const content = isSame ? contentBytes - hadBytes : 0;
    beside = isSame ? Math.max(0, beside + length - content * (1 + BESIDE_EACH_BYTE)) : 0;
    if (beside > (awaitsHead ? MOST_HEAD_BYTES : MOST_BESIDE_BYTES)) {
      socket.destroy(overflowOf(waiting));
      return null;
    }
    last = waiting;
    awaitedHead = awaitsHead;
    length = 0;
    if (came > MANY_PIECES && pace.count(came) && socket.readableLength > 0) {
      isWaiting = true;
      pace.wait(goOn);
      return null;
    }
    const slice = socket.readableLength > SLICE_BYTES ? read(SLICE_BYTES) : read();
    length = slice?.length ?? 0;
    return slice;
  };
}
