import { type Dispatcher } from "undici";
import { type AnswerMemory, type AnswerWaiter } from "../limits/answer-memory.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type Failure, type Progress, failureOf, tooLarge } from "./failure.ts";
import { type Connection, type AssignedRequest } from "./connection.ts";
import { findLocation, isRedirect } from "./redirect.ts";
import { type HeaderPairs, headerPairs, headerSize } from "./raw-headers.ts";

/** A response as it came, its content encoding still on. */
export interface Reply {
  readonly status: number;
  readonly headers: HeaderPairs;
  /** Where a redirect leads; null where it is none. */
  readonly location: string | null;
  readonly content: Buffer;
}

/** Hears of an exchange: of its end once, and of nothing after `abandon`. */
export interface ExchangeOwner {
  exchangeReplied(reply: Reply): void;
  exchangeFailed(failure: Failure): void;
  /** The answer waits for memory, or goes on: its time is not running, or running again. */
  exchangeHeld(): void;
}

/** What of an answer is kept. */
export interface ExchangeBounds {
  readonly maxResponseBytes: number;
  readonly memory: AnswerMemory;
}

const ABANDONED = new Error("abandoned");

/** One request and its response over one connection: undici's handler, without its streams. */
export class Exchange implements AssignedRequest, AnswerWaiter {
  /** True once bytes of the request may have left. */
  sent = false;
  /** True when an earlier request was carried by the same connection. */
  reused = false;
  /** True once the first byte of a response came. */
  replied = false;
  /** Pieces of the response that came, the head among them. */
  pieces = 0;
  readonly #owner: ExchangeOwner;
  readonly #maxResponseBytes: number;
  readonly #memory: AnswerMemory;
  readonly #expectsContent: boolean;
  #connection: Connection | null = null;
  #assignedAt = 0;
  #controller: Dispatcher.DispatchController | null = null;
  #ended = false;
  #status = 0;
  #headers: HeaderPairs = [];
  #headerBytes = 0;
  #location: string | null = null;
  readonly #content = new ContentBuffer();
  /** How the connection failed before the response ended; null where it did not. */
  #failed: Error | null = null;
  /** The content's length where the server said it. */
  #expected: number | null = null;

  constructor(owner: ExchangeOwner, { maxResponseBytes, memory }: ExchangeBounds, expectsContent: boolean) {
    this.#owner = owner;
    this.#maxResponseBytes = maxResponseBytes;
    this.#memory = memory;
    this.#expectsContent = expectsContent;
  }

  /** Milliseconds of this exchange spent on the name and on the handshakes; 0 for a connection that stood already. */
  connectTimes(now: number): { readonly dnsMs: number; readonly connectMs: number } {
    const attempt = this.#connection?.attempt;
    if (attempt === undefined || attempt === null || attempt.startedAt < this.#assignedAt)
      return { dnsMs: 0, connectMs: 0 };
    const resolvedAt = attempt.resolvedAt ?? now;
    return { dnsMs: resolvedAt - attempt.startedAt, connectMs: (attempt.readyAt ?? now) - resolvedAt };
  }

  /** Ends the exchange without a word to the owner: closes its connection, or gives up opening one. */
  abandon(): void {
    if (this.#ended) return;
    this.#finish();
    if (this.#controller !== null) {
      this.#controller.abort(ABANDONED);
      // Where the response has ended, and the request is still being sent, that was nothing to undici.
      this.#connection?.closeUnlessSent();
    } else this.#connection?.attempt?.fail(ABANDONED);
  }

  assign(connection: Connection): boolean {
    if (this.#ended) return false;
    this.#connection = connection;
    this.#assignedAt = performance.now();
    return true;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, this drops the request and leaves the connection to others; abort() would close it.
    if (this.#ended) throw ABANDONED;
    this.#controller = controller;
    this.sent = true;
    if (this.#connection !== null) this.reused = this.#connection.reuseCount++ > 0;
  }

  get contentBytes(): number {
    return this.#content.length;
  }

  get awaitsHead(): boolean {
    return this.#status === 0;
  }

  responseBegan(): void {
    this.replied = true;
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Behind a line end an interim response comes as far as here: the head is still to come (P6, see paceReads).
    if (status < 200) return;
    this.#status = status;
    this.pieces++;
    const raw = Array.isArray(controller.rawHeaders)
      ? controller.rawHeaders.filter((bytes) => Buffer.isBuffer(bytes))
      : [];
    // They are slices of what the socket read, and would keep all of it in memory.
    controller.rawHeaders = null;
    this.#headers = headerPairs(raw);
    this.#headerBytes = headerSize(this.#headers);
    if (isRedirect(status)) this.#location = findLocation(raw);
    // The length of an answer to HEAD, and of 304, is that of what GET would bring; 204 has no content.
    if (!this.#expectsContent || status === 204 || status === 304) return;
    const length = Number(headers["content-length"]);
    if (length > this.#maxResponseBytes) this.#tooLarge();
    else if (length >= 0) this.#expected = length;
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#ended) return;
    this.pieces++;
    const content = this.#content;
    if (content.length + piece.length > this.#maxResponseBytes) {
      this.#tooLarge();
      return;
    }
    content.add(piece, this.#expected);
    const expected = this.#expected === null ? null : this.#headerBytes + this.#expected;
    if (this.#memory.received(this.#headerBytes + content.length, expected, this) || controller.paused) return;
    controller.pause();
    this.#owner.exchangeHeld();
  }

  goOn(): void {
    if (this.#ended) return;
    this.#owner.exchangeHeld();
    this.#controller?.resume();
  }

  connectionFailed(error: Error): void {
    // What was not sent is sent over the next one.
    if (this.sent) this.#failed = error;
  }

  onResponseEnd(): void {
    if (this.#ended) return;
    if (this.#failed !== null) {
      this.onResponseError(null, this.#failed);
      return;
    }
    // As curl: a refusal ends the sending of what was refused; with any other answer the server has the request whole before that counts.
    if (this.#status >= 300 || this.#connection === null) this.#reply();
    else this.#connection.whenSent(() => this.#reply());
  }

  #reply(): void {
    if (this.#ended) return;
    this.#finish();
    this.#connection?.closeUnlessSent();
    const [status, headers, location] = [this.#status, this.#headers, this.#location];
    this.#owner.exchangeReplied({ status, headers, location, content: this.#content.take() });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#ended) return;
    this.#finish();
    this.#owner.exchangeFailed(failureOf(error, this.#progress()));
  }

  #finish(): void {
    this.#ended = true;
    this.#connection?.release(this);
  }

  #tooLarge(): void {
    this.abandon();
    this.#owner.exchangeFailed(tooLarge(this.#maxResponseBytes));
  }

  #progress(): Progress {
    if (this.#status !== 0) return "body";
    if (this.replied) return "head";
    if (this.sent) return "sent";
    return this.#connection?.attempt?.stage ?? "ready";
  }
}
