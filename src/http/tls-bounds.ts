import { type Socket } from "node:net";
import { overflowOf, type ReadWaiter } from "./paced-read.ts";

/** Session tickets and further handshakes that one connection may bring: servers send one to four tickets, and ask for one handshake. */
const MOST_OFFERS = 16;
/** What may come of TLS beside content, in bytes: handshakes, with certificates of at most 100 kB. */
const MOST_BESIDE_BYTES = 262_144;
/** Beyond that, each byte of content may have so many beside it: one that is a record of its own has up to 90. */
const BESIDE_EACH_BYTE = 128;
const CHECK_EACH_MS = 250;

interface Watched {
  /** Bytes that came of TLS beside content. */
  readonly besideBytes: () => number;
  readonly end: () => void;
}

/** A connection over TLS. */
export interface TlsConnection {
  /** What is read from it is content. */
  readonly secured: Socket;
  /** Bytes that came of the TCP connection beneath it. */
  readonly receivedBytes: () => number;
  readonly waiter: () => ReadWaiter | null;
}

/**
 * P5, P6: what a server may have TLS do. Handshakes, tickets and changes of keys come without end where it likes, take some microseconds
 * for each few bytes, and their answers memory where it does not read them; nobody who reads content hears of them. OpenSSL's refusal of
 * renegotiations would be such an answer, too, and leave out servers that ask for one.
 */
export class TlsBounds {
  readonly #open = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;

  /** Ends `connection` when more came of it. */
  watch(connection: TlsConnection): void {
    const { secured, receivedBytes } = connection;
    let offers = 0;
    const offered = (): void => {
      if (++offers > MOST_OFFERS) end(connection);
    };
    secured.on("session", offered);
    secured.on("secureConnect", offered);
    const forget = this.#check({
      besideBytes: () => receivedBytes() - secured.bytesRead * (1 + BESIDE_EACH_BYTE),
      end: () => end(connection),
    });
    secured.once("close", forget);
  }

  /** Calls `end` when more bytes came of the first handshake of a connection; until the function that it returns is called. */
  watchHandshake(receivedBytes: () => number, end: () => void): () => void {
    return this.#check({ besideBytes: receivedBytes, end });
  }

  #check(watched: Watched): () => void {
    this.#open.add(watched);
    this.#timer ??= setInterval(() => this.#checkAll(), CHECK_EACH_MS).unref();
    return () => this.#forget(watched);
  }

  #forget(watched: Watched): void {
    this.#open.delete(watched);
    if (this.#open.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #checkAll(): void {
    for (const { besideBytes, end: over } of this.#open) if (besideBytes() > MOST_BESIDE_BYTES) over();
  }
}

function end({ secured, waiter }: TlsConnection): void {
  secured.destroy(overflowOf(waiter()));
}
