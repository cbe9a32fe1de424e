import { type Dispatcher } from "undici";
import { type AnswerMemory } from "../limits/answer-memory.ts";
import { type Request } from "../outbox/request.ts";
import { undoEncoding } from "./encoding.ts";
import { Exchange, type Reply } from "./exchange.ts";
import { ABORTED, type Failure, TOO_MANY_REDIRECTS, outOfMemory } from "./failure.ts";
import { type Outcome, type Timings } from "./outcome.ts";
import { type Additions, type Outgoing, dispatchOptions, outgoing } from "./outgoing.ts";
import { findHeader } from "./raw-headers.ts";
import { follow } from "./redirect.ts";

/** What all sendings of one client share. */
export interface SendingContext {
  /** Reuses connections. */
  readonly agent: Dispatcher;
  /** Opens a connection for each request. */
  readonly freshAgent: Dispatcher;
  readonly maxResponseBytes: number;
  readonly maxTimeoutMs: number;
  readonly connecting: { readonly openSockets: number };
}

/** An answer waits for memory as long as answers of its destination make progress within this time, in milliseconds. */
const MOST_STUCK_MS = 60_000;

/** With more connections open than this, each is closed after its request: many hosts must not use up the descriptors. */
export const KEPT_CONNECTIONS = 1_024;

/** How long a request that was sent in part waits for descriptors, memory or ports before it goes on, in milliseconds. */
const SHORTAGE_MS = 250;

/** Methods whose repetition does no harm (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** What one sending is made of. */
export interface SendingParts {
  readonly request: Request;
  readonly memory: AnswerMemory;
  readonly signal: AbortSignal | undefined;
  readonly settled: (sending: Sending, outcome: Outcome) => void;
}

/**
 * One request from its url to its outcome: redirects, one deadline over all of them, and the replay. While the answer waits for
 * memory of ours the deadline does too.
 *
 * The replay: a server may close a kept connection at the very moment a request is written to it. A request that got not
 * one byte back on a *reused* connection is sent again, once, on a fresh one; but only where its method is idempotent,
 * since the server may as well have acted on it and died. For POST and PATCH this ends as `empty_reply`.
 */
export class Sending {
  readonly request: Request;
  readonly signal: AbortSignal | undefined;
  readonly #context: SendingContext;
  readonly #memory: AnswerMemory;
  readonly #settled: (sending: Sending, outcome: Outcome) => void;
  readonly #startedAt = performance.now();
  #outgoing: Outgoing | null = null;
  #exchange: Exchange | null = null;
  #timer: NodeJS.Timeout | null = null;
  #waiting: NodeJS.Timeout | null = null;
  #redirects = 0;
  #maybeReceived = false;
  #dnsMs = 0;
  #connectMs = 0;
  /** The last byte of the answer has come: only we can be late now. */
  #isWhole = false;
  #ended = false;

  constructor(context: SendingContext, { request, memory, signal, settled }: SendingParts) {
    this.#context = context;
    this.request = request;
    this.#memory = memory;
    this.signal = signal;
    this.#settled = settled;
  }

  begin(additions: Additions): void {
    const first = outgoing(this.request, additions);
    if ("message" in first) {
      this.#fail(first);
      return;
    }
    this.#timer = setTimeout(checkDeadline, this.#timeoutMs, this);
    this.#dispatch(first, this.#context.agent);
  }

  /** Ends the sending as aborted, unless it has ended. */
  abort(): void {
    this.#fail(ABORTED);
  }

  /** Called by the timer: Node's may fire a fraction of a millisecond early. */
  checkDeadline(): void {
    if (this.#ended) return;
    const { stuckMs, waitedMs } = this.#memory;
    const leftMs = this.#leftMs;
    if (leftMs > 0) this.#timer = setTimeout(checkDeadline, Math.ceil(leftMs), this);
    else if (stuckMs > 0) this.#fail(outOfMemory(waitedMs));
    // Once round the loop first: an answer that was here in time, but not yet read, counts.
    else setImmediate(expire, this);
  }

  expire(): void {
    if (this.#ended || this.#isWhole) return;
    this.#timeOut(timeoutMessage);
  }

  /** P6: ends before the deadline, for others; false where it has ended, or where an answer waits for us. */
  giveUpPlace(): boolean {
    if (this.#ended || this.#isWhole || this.#memory.stuckMs > 0) return false;
    this.#timeOut(placeMessage);
    return true;
  }

  #timeOut(messageOf: (timeoutMs: number, timings: Timings) => string): void {
    const timings = this.#timings();
    this.#end({
      kind: "failed",
      code: "timeout",
      message: messageOf(this.#timeoutMs, timings) + this.#waited,
      detail: null,
      maybeReceived: this.#maybeReceived,
      timings,
    });
  }

  exchangeReplied(reply: Reply): void {
    this.#leaveExchange();
    const from = this.#outgoing;
    const { location } = reply;
    const { maxRedirects } = this.request.options;
    if (location === null || maxRedirects === 0 || from === null) {
      this.#answer(reply);
      return;
    }
    this.#memory.restart();
    const to = this.#redirects++ < maxRedirects ? follow(reply.status, location, from) : TOO_MANY_REDIRECTS;
    if ("message" in to) this.#fail(to);
    else this.#dispatch(to, this.#context.agent);
  }

  exchangeFailed(failure: Failure): void {
    const { reused = false, replied = false } = this.#exchange ?? {};
    const again = reused && !replied ? this.#outgoing : null;
    this.#leaveExchange();
    if (failure.code === "shortage" && this.#maybeReceived) this.#waitForResources();
    else if (again !== null && IDEMPOTENT.has(again.method)) this.#dispatch(again, this.#context.freshAgent);
    else this.#fail(failure);
  }

  /** From the start the request would go out twice: what is lacking is waited for where it has come to. */
  #waitForResources(): void {
    this.#waiting = setTimeout(dispatchAgain, SHORTAGE_MS, this);
  }

  /** Called by the timer, to send once more what nothing was sent of. */
  dispatchAgain(): void {
    if (this.#outgoing !== null && !this.#ended) this.#dispatch(this.#outgoing, this.#context.agent);
  }

  exchangeHeld(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(checkDeadline, Math.ceil(Math.max(0, this.#leftMs)), this);
  }

  /** P6: pg_net's timeout of 0 is none, and others may be of weeks; a place in flight is not held for that long. */
  get #timeoutMs(): number {
    return Math.min(this.request.timeoutMs === 0 ? Infinity : this.request.timeoutMs, this.#context.maxTimeoutMs);
  }

  /** Until the deadline, or until a wait for memory is given up. */
  get #leftMs(): number {
    const { stuckMs, waitedMs } = this.#memory;
    if (stuckMs > 0 || this.#isWhole) return MOST_STUCK_MS - stuckMs;
    return this.#timeoutMs + waitedMs - (performance.now() - this.#startedAt);
  }

  /** What a failure says of the wait for memory: it may not be the server's. */
  get #waited(): string {
    const { waitedMs } = this.#memory;
    return waitedMs < 1
      ? ""
      : ` (not received for ${Math.round(waitedMs)} ms, for want of memory: see results.memoryBytes)`;
  }

  #dispatch(to: Outgoing, agent: Dispatcher): void {
    this.#outgoing = to;
    const { maxResponseBytes } = this.#context;
    this.#exchange = new Exchange(this, { maxResponseBytes, memory: this.#memory }, to.method !== "HEAD");
    const close = to.close || this.#context.connecting.openSockets > KEPT_CONNECTIONS;
    agent.dispatch(dispatchOptions(to, close), this.#exchange);
  }

  #answer(reply: Reply): void {
    this.#isWhole = true;
    const encoding = reply.content.length === 0 ? null : findHeader(reply.headers, "content-encoding");
    if (encoding === null) this.#answered(reply, reply.content);
    else void this.#decode(reply, encoding);
  }

  async #decode(reply: Reply, encoding: string): Promise<void> {
    this.exchangeHeld();
    const decoded = await undoEncoding(reply.content, encoding, this.#context.maxResponseBytes, this.#memory);
    if ("message" in decoded) this.#fail(decoded);
    else this.#answered(reply, decoded.content);
  }

  #answered({ status, headers }: Reply, content: Buffer): void {
    if (this.#ended) return;
    const contentType =
      headers.find(([name]) => name.length === 12 && name.toLowerCase() === "content-type")?.[1] ?? null;
    this.#end({ kind: "answered", status, headers, contentType, content, timings: this.#timings() });
  }

  #fail({ code, message, detail }: Failure): void {
    if (this.#ended) return;
    const timings = this.#timings();
    const shown = code === "bad_reply" ? message + this.#waited : message;
    this.#end({ kind: "failed", code, message: shown, detail, maybeReceived: this.#maybeReceived, timings });
  }

  /** Takes the times of the exchange that ends now, and ends it where it has not ended itself. */
  #leaveExchange(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    this.#exchange = null;
    const { dnsMs, connectMs } = exchange.connectTimes(performance.now());
    this.#dnsMs += dnsMs;
    this.#connectMs += connectMs;
    this.#maybeReceived ||= exchange.sent;
    exchange.abandon();
  }

  #timings(): Timings {
    this.#leaveExchange();
    const totalMs = performance.now() - this.#startedAt;
    const [dnsMs, connectMs] = [this.#dnsMs, this.#connectMs];
    return { totalMs, dnsMs, connectMs, exchangeMs: totalMs - dnsMs - connectMs };
  }

  #end(outcome: Outcome): void {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#waiting !== null) clearTimeout(this.#waiting);
    this.#settled(this, outcome);
  }
}

function checkDeadline(sending: Sending): void {
  sending.checkDeadline();
}

function expire(sending: Sending): void {
  sending.expire();
}

function dispatchAgain(sending: Sending): void {
  sending.dispatchAgain();
}

function timeoutMessage(timeoutMs: number, { totalMs, dnsMs, connectMs, exchangeMs }: Timings): string {
  const parts = `DNS time: ${dnsMs.toFixed(6)} ms, TCP/SSL handshake time: ${connectMs.toFixed(6)} ms, HTTP Request/Response time: ${exchangeMs.toFixed(6)} ms`;
  return `Timeout of ${timeoutMs} ms reached. Total time: ${totalMs.toFixed(6)} ms (${parts})`;
}

function placeMessage(timeoutMs: number, { totalMs }: Timings): string {
  return `Ended after ${Math.round(totalMs)} ms, before its timeout of ${timeoutMs} ms, since all places in flight (http.concurrency) were taken and other hosts waited`;
}
