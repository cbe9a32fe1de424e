import { expect, test } from "vitest";
import type { Outcome } from "../../src/http/outcome.ts";
import type { Request } from "../../src/outbox/request.ts";
import { endHeldPlaces } from "../../src/sending/held-places.ts";
import type { Sender } from "../../src/sending/sender.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestOf } from "../support/http-peer.ts";
import { ANSWERED } from "../support/sender-lab.ts";
import { testSender } from "../support/test-sender.ts";
import { turn } from "../support/world-referee.ts";

const PLACES = 32;
const timings = { totalMs: 0, dnsMs: 0, connectMs: 0, exchangeMs: 0 };
const TIMED_OUT: Outcome = { kind: "failed", code: "timeout", message: "", maybeReceived: true, timings };

/** The clock of a test that says how long its sleeps were to be. */
class SleepClock extends FakeClock {
  readonly sleeps: number[] = [];

  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    return super.sleep(ms, signal);
  }
}

/** A sender with 32 places and the loop that ends held ones; requests hang while `hangs` says so. */
class Lab implements AsyncDisposable {
  readonly clock = new SleepClock();
  readonly started: string[] = [];
  readonly expired: { readonly host: string; readonly afterMs: number }[] = [];
  readonly #inFlight = new Map<Request, { readonly startedAt: number; readonly settle: (outcome: Outcome) => void }>();
  readonly #sender: Sender;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #id = 0n;
  mostInFlight = 0;
  mayStart = true;
  hangs: (host: string) => boolean = () => false;
  /** False for requests that are not to be ended before their time. */
  mayExpire: (host: string) => boolean = () => true;

  constructor(perSecond: number | "unlimited" = "unlimited") {
    this.#sender = testSender(
      {
        send: (request) => this.#send(request),
        expire: (request) => this.#expire(request),
        results: { write: (completion) => this.#sender.settled([completion]) },
        clock: this.clock,
        events: { ended: () => this.#sender.start() },
      },
      {
        memory: { requests: 10_000, bytes: 1e9, perLane: 1_000 },
        concurrency: { total: PLACES, perHost: PLACES },
        perSecond,
      },
    );
    const held = endHeldPlaces({ sender: this.#sender, mayStart: () => this.mayStart, clock: this.clock });
    this.#ended = held(this.#stop.signal);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  #send(request: Request): Promise<Outcome> {
    const host = new URL(request.url).hostname;
    this.started.push(host);
    if (!this.hangs(host)) return Promise.resolve(ANSWERED);
    return new Promise((settle) => {
      this.#inFlight.set(request, { startedAt: this.clock.now(), settle });
      this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    });
  }

  #expire(request: Request): boolean {
    const flight = this.#inFlight.get(request);
    const host = new URL(request.url).hostname;
    if (flight === undefined || !this.mayExpire(host)) return false;
    this.expired.push({ host, afterMs: this.clock.now() - flight.startedAt });
    this.#inFlight.delete(request);
    flight.settle(TIMED_OUT);
    return true;
  }

  /** One request to each, started where that may be. */
  async request(...hosts: readonly string[]): Promise<void> {
    for (const host of hosts) {
      this.#id += 1n;
      const request = requestOf(`http://${host}/`, { id: this.#id, timeoutMs: 600_000 });
      if (!this.#sender.hold(host, request.bytes)) throw new RangeError("memory is full");
      this.#sender.accept({ request, defect: null, isForeign: false, nextAttemptAt: null, lane: host, host }, null);
    }
    this.#sender.start();
    await turn();
  }

  async advance(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      this.clock.advance(1_000);
      await turn();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

const hosts = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);

test("P6: where hosts that answered before hang in all places, the others start after twenty seconds, and no more end than that takes", async () => {
  await using lab = new Lab();
  const turned = hosts("turned", 40);
  await lab.request(...turned, "good");
  lab.hangs = (host) => host.startsWith("turned");
  await lab.request(...turned);
  await lab.request("good", "unseen");
  const before = lab.started.length;
  await lab.advance(20);
  expect([lab.inFlight, lab.started.length, lab.expired]).toEqual([PLACES, before, []]);
  await lab.advance(2);
  expect(lab.started.slice(before)).toEqual(expect.arrayContaining(["good", "unseen"]));
  // Eight more that hang, `good` and `unseen`; and four places are left to responsive hosts.
  expect(lab.expired).toHaveLength(8 + 1 + 1 + 4);
  expect(Math.min(...lab.expired.map(({ afterMs }) => afterMs))).toBeGreaterThan(20_000);
  await lab.advance(120);
  expect([lab.mostInFlight, lab.expired.length]).toEqual([PLACES, 14]);
});

test("P6: hosts never seen before that hang have their places in turn, twenty seconds each while others wait", async () => {
  await using lab = new Lab();
  lab.hangs = (host) => host.startsWith("hung");
  await lab.request(...hosts("hung", 100));
  expect(lab.inFlight).toBe(28);
  await lab.request("unseen");
  await lab.advance(23 * 3);
  expect(lab.started).toHaveLength(101);
  expect(new Set(lab.expired.map(({ host }) => host)).size).toBe(lab.expired.length);
  const ended = lab.expired.length;
  await lab.advance(600);
  expect([lab.expired.length, lab.inFlight]).toEqual([ended, 100 - ended]);
});

test("at a low rate no more requests lose their places than may start in their stead", async () => {
  await using lab = new Lab(2);
  lab.hangs = () => true;
  await lab.request(...hosts("hung", 100));
  await lab.advance(20);
  expect(lab.expired).toEqual([]);
  await lab.advance(1);
  expect(lab.expired).toHaveLength(2);
});

test("no request loses its place where none may start, or where only hosts with places of their own wait", async () => {
  await using lab = new Lab();
  lab.hangs = () => true;
  await lab.request(...hosts("hung", 28));
  await lab.request(...hosts("hung", 28));
  await lab.advance(60);
  lab.mayStart = false;
  await lab.request("unseen");
  await lab.advance(60);
  expect([lab.expired, lab.inFlight]).toEqual([[], 28]);
  lab.mayStart = true;
  await lab.advance(1);
  expect([lab.expired.length, lab.started.at(-1)]).toEqual([1, "unseen"]);
});

test("P6: a request that is not to be ended is passed over, and the next one gives its place up", async () => {
  await using lab = new Lab();
  lab.hangs = () => true;
  lab.mayExpire = (host) => host >= "hung3";
  await lab.request(...hosts("hung", 9), ...hosts("other", 19));
  await lab.request("unseen");
  await lab.advance(21);
  expect([lab.expired.map(({ host }) => host), lab.started.at(-1)]).toEqual([["hung3"], "unseen"]);
});

test("P8: while there are places nothing looks for held ones", async () => {
  await using lab = new Lab();
  lab.hangs = () => true;
  await lab.request(...hosts("hung", 28));
  await lab.advance(60);
  expect(lab.clock.sleeps).toEqual([]);
});
