import type { Lane } from "../outbox/lane.ts";
import { LaneRoom } from "./lane-room.ts";

/** Bounds of what is held in memory (P5). */
export interface MemoryBounds {
  /** Requests in memory, from their reading until their result is committed. */
  readonly requests: number;
  /** Their bodies, urls and headers in bytes; large requests have as much for themselves, and one is held whatever its size. */
  readonly bytes: number;
  /** Requests of one lane queued for their turn: about as many as are sent in a second, so that cancelling takes effect soon. */
  readonly perLane: number;
}

/** Waiting requests of one lane at most where the rate is unlimited. */
const MOST_WAITING = 4_000;
/** And at least, where little is sent. */
const LEAST_WAITING = 50;

/** `MemoryBounds.perLane` for a rate: what is sent in about a second. */
export function perLaneBound(perSecond: number | "unlimited", requests: number): number {
  const perSecondOrMost = perSecond === "unlimited" ? MOST_WAITING : Math.ceil(perSecond);
  return Math.min(requests, MOST_WAITING, Math.max(LEAST_WAITING, perSecondOrMost));
}

/** Sweeps fill this share of memory; the rest is left for what is streamed, so that it need not push anything out. */
const SWEPT_SHARE = 7 / 8;

/** A request is large from this share of all bytes on. */
const LARGE_SHARE = 1 / 4;

/** P6: large requests have memory of their own, so that those in flight for long leave all others theirs. In bytes, from where on a request is large. */
export function largeFrom(bytes: number): number {
  return Math.floor(bytes * LARGE_SHARE);
}

/** What a sweep may bring. */
export interface Room {
  readonly rows: number;
  readonly bytes: number;
  /** Bytes of one row at most. */
  readonly largest: number;
}

/** What one lane may take beside what it has. */
export interface LaneShare {
  readonly lane: Lane;
  /** Requests of it that wait. */
  readonly queued: number;
  /** Further ones that fit. */
  readonly room: number;
}

interface LaneUse {
  queued: number;
  bytes: number;
  readonly room: LaneRoom;
}

/**
 * What is held in memory, in all and by lane. A request is in one of two modes:
 *
 * - *queued*, from `hold` on: it counts for its lane, too. Until `start`, or `giveUp`, since the outbox has it: the longest lane first.
 * - *started*: it counts for all alone. Until `release`, when its result is committed.
 */
export class Memory {
  readonly #bounds: MemoryBounds;
  /** Lanes of which something is queued. */
  readonly #lanes = new Map<Lane, LaneUse>();
  /** Lanes by the number of bits of their bytes, so that a long one is found at once. */
  readonly #byLength: Set<Lane>[] = [];
  /** All that are held. */
  #requests = 0;
  /** Bytes of those that are not large, and of those that are. */
  #bytes = 0;
  #largeBytes = 0;

  constructor(bounds: MemoryBounds) {
    this.#bounds = bounds;
  }

  get requests(): number {
    return this.#requests;
  }

  get bytes(): number {
    return this.#bytes + this.#largeBytes;
  }

  /** What a sweep may bring, of whatever lanes. */
  get room(): Room {
    const bytes = Math.max(0, Math.floor(this.#bounds.bytes * SWEPT_SHARE) - this.#bytes);
    const rows = Math.max(0, Math.ceil(this.#bounds.requests * SWEPT_SHARE) - this.#requests);
    const free = Math.max(largeFrom(this.#bounds.bytes), this.#bounds.bytes - this.#largeBytes);
    return { rows: bytes === 0 ? 0 : rows, bytes, largest: this.#largeBytes === 0 ? Number.MAX_SAFE_INTEGER : free };
  }

  /** True where one more request of `bytes` fits, of whatever lane. */
  fits(bytes: number): boolean {
    if (this.#requests >= this.#bounds.requests) return false;
    if (this.#isLarge(bytes)) return this.#largeBytes === 0 || this.#largeBytes + bytes <= this.#bounds.bytes;
    return this.#bytes + bytes <= this.#bounds.bytes;
  }

  #isLarge(bytes: number): boolean {
    return bytes > largeFrom(this.#bounds.bytes);
  }

  #add(bytes: number, sign: 1 | -1): void {
    this.#requests += sign;
    if (this.#isLarge(bytes)) this.#largeBytes += sign * bytes;
    else this.#bytes += sign * bytes;
  }

  /** What a lane may take that has nothing in memory. */
  get perLane(): number {
    return this.#bounds.perLane;
  }

  /** What `lane` may take. */
  share(lane: Lane, now: number): LaneShare {
    const use = this.#lanes.get(lane);
    if (use === undefined) return { lane, queued: 0, room: this.#bounds.perLane };
    return { lane, queued: use.queued, room: Math.max(0, use.room.at(now) - use.queued) };
  }

  /** True where half of what may wait of `lane` does not. */
  isLow(lane: Lane, now: number): boolean {
    const use = this.#lanes.get(lane);
    return use === undefined || 2 * use.queued <= use.room.at(now);
  }

  /** The shares of all lanes of which something waits. */
  shares(now: number): readonly LaneShare[] {
    return [...this.#lanes.keys()].map((lane) => this.share(lane, now));
  }

  /** True where `lane` may have one more queued, if memory as a whole has room. */
  hasPlace(lane: Lane, now: number): boolean {
    const use = this.#lanes.get(lane);
    return use === undefined || use.queued < use.room.at(now);
  }

  /** Lanes of which twice as many wait as may: they start more slowly than when these were read. */
  tooLong(now: number): readonly Lane[] {
    return [...this.#lanes.keys()].filter((lane) => this.isTooLong(lane, now));
  }

  isTooLong(lane: Lane, now: number): boolean {
    const use = this.#lanes.get(lane);
    return use !== undefined && use.queued > 2 * use.room.at(now);
  }

  /** The lane to give up so that `bytes` more of `lane` fit: one with twice as many. Null where there is none. */
  longerThan(lane: Lane, bytes: number): Lane | null {
    const own = (this.#lanes.get(lane)?.bytes ?? 0) + bytes;
    const longest = this.#longest;
    if (longest === null || (this.#lanes.get(longest)?.bytes ?? 0) < 2 * own) return null;
    return longest;
  }

  /** A lane than which none has twice as many bytes; null where nothing is queued. */
  get #longest(): Lane | null {
    for (let length = this.#byLength.length - 1; length >= 0; length--) {
      const [longest] = this.#byLength[length] ?? [];
      if (longest !== undefined) return longest;
    }
    return null;
  }

  /** Holds one more request, which waits in `lane`. */
  hold(lane: Lane, bytes: number, now: number): void {
    this.#add(bytes, 1);
    let use = this.#lanes.get(lane);
    if (use === undefined) {
      use = { queued: 0, bytes: 0, room: new LaneRoom(this.#bounds.perLane, now) };
      this.#lanes.set(lane, use);
    }
    this.#resize(lane, use, bytes);
    use.queued++;
  }

  /** A request that waited in `lane` has started: it is held, and waits no more. */
  start(lane: Lane, bytes: number): void {
    const use = this.#lanes.get(lane);
    if (use === undefined) return;
    use.room.started();
    this.#leave(lane, use, bytes);
  }

  /** A request that waits in `lane` is given up. */
  giveUp(lane: Lane, bytes: number): void {
    const use = this.#lanes.get(lane);
    if (use !== undefined) this.#leave(lane, use, bytes);
    this.release(bytes);
  }

  /** A request that was started is held no longer. */
  release(bytes: number): void {
    this.#add(bytes, -1);
  }

  #leave(lane: Lane, use: LaneUse, bytes: number): void {
    use.queued--;
    this.#resize(lane, use, -bytes);
    if (use.queued > 0) return;
    this.#byLength[lengthOf(use.bytes)]?.delete(lane);
    this.#lanes.delete(lane);
  }

  #resize(lane: Lane, use: LaneUse, by: number): void {
    const before = lengthOf(use.bytes);
    use.bytes += by;
    const after = lengthOf(use.bytes);
    if (before === after) return;
    this.#byLength[before]?.delete(lane);
    (this.#byLength[after] ??= new Set()).add(lane);
  }
}

/** Lanes of the same length differ by less than the double. */
function lengthOf(bytes: number): number {
  return 32 - Math.clz32(Math.min(bytes, 0xffff_ffff));
}
