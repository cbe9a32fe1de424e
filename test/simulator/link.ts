import { after, type Process, virtualNow } from "./virtual-time.ts";
import type { Random } from "./random.ts";

/** One end of a connection. */
export interface LinkEnd {
  /** The other end is gone: closed, or reset. */
  closed(reason: "closed" | "reset"): void;
}

type Side = "client" | "server";

/** Nothing that would arrive within it does before its end. */
interface Stall {
  readonly from: number;
  readonly until: number;
}

/** How long a stalled network delivers what the server has sent, in milliseconds. */
const HEALED_MS = 50;

/** How long messages take, in milliseconds. */
export interface Latency {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** A connection between a daemon and the server. Messages of one direction arrive in their order, or not at all. */
export class Link {
  readonly owner: Process;
  readonly #random: Random;
  readonly #latency: Latency;
  #client: LinkEnd | null = null;
  #server: LinkEnd | null = null;
  #clientOpen = true;
  #serverOpen = true;
  #isReset = false;
  readonly #stalls: Readonly<Record<Side, Stall[]>> = { client: [], server: [] };
  readonly #arrived = { client: 0, server: 0 };

  constructor(owner: Process, latency: Latency, random: Random) {
    this.owner = owner;
    this.#latency = latency;
    this.#random = random;
  }

  /** Both ends are there. */
  join(client: LinkEnd, server: LinkEnd): void {
    this.#client = client;
    this.#server = server;
  }

  #at(side: Side): number {
    const { leastMs, mostMs } = this.#latency;
    const latencyMs = leastMs + this.#random.next() ** 3 * (mostMs - leastMs);
    let at = virtualNow() + latencyMs;
    for (const { from, until } of this.#stalls[side]) if (at >= from && at < until) at = until + latencyMs;
    this.#arrived[side] = Math.max(at, this.#arrived[side]);
    return this.#arrived[side] - virtualNow();
  }

  toServer(act: () => void): void {
    if (this.#isReset) return;
    after(this.#at("server"), null, () => {
      if (this.#serverOpen && !this.#isReset) act();
    });
  }

  toClient(act: () => void): void {
    if (this.#isReset) return;
    after(this.#at("client"), this.owner, () => {
      if (this.#clientOpen && !this.#isReset) act();
    });
  }

  get isStalled(): boolean {
    return Object.values(this.#stalls).some((stalls) => stalls.some(({ until }) => until > virtualNow()));
  }

  /**
   * Nothing arrives for `ms` or a while more: each direction comes back when TCP tries again, which it does less and less often. For a
   * moment in between what the server has sent arrives.
   */
  stall(ms: number): void {
    const from = virtualNow();
    const until = (): number => from + ms * (1 + this.#random.next() / 2);
    const healedAt = from + ms * this.#random.next();
    const healed = { from, until: healedAt };
    this.#stalls.client.push(healed, { from: healedAt + HEALED_MS, until: until() });
    this.#stalls.server.push({ from, until: until() });
  }

  /** The connection is reset: what is on its way is lost, and both ends notice. */
  reset(): void {
    if (this.#isReset || !(this.#clientOpen || this.#serverOpen)) return;
    this.#isReset = true;
    this.#closeServer(0.1, "reset");
    this.#closeClient(0.1, "reset");
  }

  /** The client closes its end; what it sent before arrives. */
  closeClient(): void {
    if (!this.#clientOpen) return;
    this.#clientOpen = false;
    this.#closeServer(this.#at("server"), "closed");
  }

  /** The server closes its end; what it sent before arrives. */
  closeServer(): void {
    if (!this.#serverOpen) return;
    this.#serverOpen = false;
    this.#closeClient(this.#at("client"), "closed");
  }

  #closeServer(ms: number, reason: "closed" | "reset"): void {
    after(ms, null, () => {
      if (!this.#serverOpen) return;
      this.#serverOpen = false;
      this.#server?.closed(reason);
    });
  }

  #closeClient(ms: number, reason: "closed" | "reset"): void {
    after(ms, this.owner, () => {
      if (!this.#clientOpen) return;
      this.#clientOpen = false;
      this.#client?.closed(reason);
    });
  }
}
