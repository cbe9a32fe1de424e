/** Bounds of what is held in memory (P5). */
export interface MemoryBounds {
  /** Requests in memory, from their reading until their result is committed. */
  readonly requests: number;
  /** Their bodies, urls and headers in bytes; a single larger request is still taken when nothing else is held. */
  readonly bytes: number;
  /** Requests waiting for their turn: about as many as are sent in a second, so that cancelling takes effect soon. */
  readonly waiting: number;
}

/** Waiting requests at most where the rate is unlimited. */
const MOST_WAITING = 4_000;
/** And at least, where little is sent. */
export const LEAST_WAITING = 50;

/** `MemoryBounds.waiting` for a rate: what is sent in about a second. */
export function waitingBound(perSecond: number | "unlimited", requests: number): number {
  const perSecondOrMost = perSecond === "unlimited" ? MOST_WAITING : Math.ceil(perSecond);
  return Math.min(requests, MOST_WAITING, Math.max(LEAST_WAITING, perSecondOrMost));
}

/** What is held beside the ids in memory. */
export interface Held {
  /** Of the requests in memory, those waiting for their turn. */
  readonly waiting: number;
  /** Streamed rows kept aside while a sweep runs. */
  readonly asideCount: number;
  readonly asideBytes: number;
}

/** What still fits. */
export interface Room {
  readonly requests: number;
  readonly bytes: number;
}

/** The ids in memory, with their sizes: what sweeps leave out (rule leaveOutKnown) and the stream does not bring again. */
export class Memory {
  readonly #bounds: MemoryBounds;
  readonly #sizes = new Map<bigint, number>();
  #bytes = 0;

  constructor(bounds: MemoryBounds) {
    this.#bounds = bounds;
  }

  get requests(): number {
    return this.#sizes.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(id: bigint): boolean {
    return this.#sizes.has(id);
  }

  add(id: bigint, bytes: number): void {
    this.#bytes += bytes - (this.#sizes.get(id) ?? 0);
    this.#sizes.set(id, bytes);
  }

  delete(id: bigint): void {
    this.#bytes -= this.#sizes.get(id) ?? 0;
    this.#sizes.delete(id);
  }

  ids(): bigint[] {
    return [...this.#sizes.keys()];
  }

  /** What further rows may take, with what waits for its turn or is aside already; `capacity` may wait in all. */
  room(held: Held, capacity: number): Room {
    const bytes = Math.max(0, this.#bounds.bytes - this.#bytes - held.asideBytes);
    const requests = Math.min(
      capacity - held.waiting - held.asideCount,
      this.#bounds.requests - this.#sizes.size - held.asideCount,
    );
    return { requests: bytes === 0 ? 0 : Math.max(0, requests), bytes };
  }

  /** True where `requests` of `bytes` in all fit. */
  holds(requests: number, bytes: number, { asideCount, asideBytes }: Held): boolean {
    return (
      this.#sizes.size + asideCount + requests <= this.#bounds.requests &&
      this.#bytes + asideBytes + bytes <= this.#bounds.bytes
    );
  }

  /** True where a request of `bytes` fits. */
  fits(bytes: number, held: Held, capacity: number): boolean {
    const room = this.room(held, capacity);
    return room.requests > 0 && (bytes <= room.bytes || this.#sizes.size + held.asideCount === 0);
  }
}
