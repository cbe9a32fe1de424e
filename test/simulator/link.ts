import { after, type Process, virtualNow } from "./virtual-time.ts";
import type { Random } from "./random.ts";

/** One end of a connection. */
export interface LinkEnd {
  /** The other end is gone: closed, or reset. */
  closed(reason: "closed" | "reset"): void;
}

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
  #stalledUntil = 0;
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

  #at(side: "client" | "server"): number {
    const { leastMs, mostMs } = this.#latency;
    const at = Math.max(virtualNow(), this.#stalledUntil) + leastMs + this.#random.next() ** 3 * (mostMs - leastMs);
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
    return this.#stalledUntil > virtualNow();
  }

  /** Nothing arrives for `ms`; afterwards what was sent does. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, virtualNow() + ms);
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
