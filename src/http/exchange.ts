import { type Dispatcher } from "undici";
import { type Failure, type Progress, failureOf, tooLarge } from "./failure.ts";
import { type Line, type Passenger } from "./line.ts";

/** A response as it came, its content encoding still on. */
export interface Reply {
  readonly status: number;
  /** Names and values in turn, as bytes. */
  readonly rawHeaders: readonly Buffer[];
  readonly content: Buffer;
}

/** Hears of the end of an exchange, once, and never after `abandon`. */
export interface ExchangeOwner {
  exchangeReplied(reply: Reply): void;
  exchangeFailed(failure: Failure): void;
}

const ABANDONED = new Error("abandoned");
const EMPTY = Buffer.alloc(0);

/** One request and its response over one connection: undici's handler, without its streams. */
export class Exchange implements Passenger {
  /** True once bytes of the request may have left. */
  sent = false;
  /** True when an earlier request was carried by the same connection. */
  reused = false;
  /** True once the first byte of a response came. */
  replied = false;
  readonly #owner: ExchangeOwner;
  readonly #maxResponseBytes: number;
  readonly #expectsContent: boolean;
  #line: Line | null = null;
  #boardedAt = 0;
  #controller: Dispatcher.DispatchController | null = null;
  #ended = false;
  #status = 0;
  #rawHeaders: readonly Buffer[] = [];
  /** The content so far; a list only when it came in several pieces. */
  #content: Buffer = EMPTY;
  #pieces: Buffer[] | null = null;
  #size = 0;

  constructor(owner: ExchangeOwner, maxResponseBytes: number, expectsContent: boolean) {
    this.#owner = owner;
    this.#maxResponseBytes = maxResponseBytes;
    this.#expectsContent = expectsContent;
  }

  /** Milliseconds of this exchange spent on the name and on the handshakes; 0 for a connection that stood already. */
  connectTimes(now: number): { readonly dnsMs: number; readonly connectMs: number } {
    const attempt = this.#line?.attempt;
    if (attempt === undefined || attempt === null || attempt.startedAt < this.#boardedAt)
      return { dnsMs: 0, connectMs: 0 };
    const resolvedAt = attempt.resolvedAt ?? now;
    return { dnsMs: resolvedAt - attempt.startedAt, connectMs: (attempt.readyAt ?? now) - resolvedAt };
  }

  /** Ends the exchange without a word to the owner: closes its connection, or gives up opening one. */
  abandon(): void {
    if (this.#ended) return;
    this.#finish();
    if (this.#controller !== null) this.#controller.abort(ABANDONED);
    else this.#line?.attempt?.fail(ABANDONED);
  }

  board(line: Line): boolean {
    if (this.#ended) return false;
    this.#line = line;
    this.#boardedAt = performance.now();
    return true;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, this drops the request and leaves the connection to others; abort() would close it.
    if (this.#ended) throw ABANDONED;
    this.#controller = controller;
    this.sent = true;
    if (this.#line !== null) this.reused = this.#line.carried++ > 0;
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
    this.#status = status;
    this.#rawHeaders = Array.isArray(controller.rawHeaders)
      ? controller.rawHeaders.filter((bytes) => Buffer.isBuffer(bytes))
      : [];
    // To HEAD, the length is that of what GET would bring.
    if (this.#expectsContent && Number(headers["content-length"]) > this.#maxResponseBytes) this.#tooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    this.#size += chunk.length;
    if (this.#size > this.#maxResponseBytes) this.#tooLarge();
    else if (this.#content === EMPTY) this.#content = chunk;
    else if (this.#pieces === null) this.#pieces = [this.#content, chunk];
    else this.#pieces.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#ended) return;
    this.#finish();
    const content = this.#pieces === null ? this.#content : Buffer.concat(this.#pieces, this.#size);
    this.#owner.exchangeReplied({ status: this.#status, rawHeaders: this.#rawHeaders, content });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#ended) return;
    this.#finish();
    this.#owner.exchangeFailed(failureOf(error, this.#progress()));
  }

  #finish(): void {
    this.#ended = true;
    this.#line?.alight(this);
  }

  #tooLarge(): void {
    this.abandon();
    this.#owner.exchangeFailed(tooLarge(this.#maxResponseBytes));
  }

  #progress(): Progress {
    if (this.#status !== 0) return "body";
    if (this.replied) return "head";
    if (this.sent) return "sent";
    return this.#line?.attempt?.stage ?? "ready";
  }
}
