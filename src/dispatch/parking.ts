/** A request without room waits in the outbox at least half as long as that has lasted, within these, in milliseconds. */
const LEAST_MS = 250;
const MOST_MS = 30_000;
/** No more requests of one host come back by themselves than so many per second, however many wait: few once that is sure. */
const BACK_PER_SECOND = 500;
const BACK_PER_SECOND_UNSURE = 5_000;
/** Nor more of their bytes, since a request is read again to be parked again. */
const BACK_BYTES_PER_MS = 5_000;
/** Requests come back a little after their time; parking that begins later than this begins anew, in milliseconds. */
const OVER_MS = 5_000;
/** A request that was called back comes within this, in milliseconds, or was cancelled. */
const COMES_WITHIN_MS = 1_000;
/** So many ids of one host are remembered: those parked beyond come back by themselves. */
const REMEMBERED = 20_000;
/** P5: and so many of all hosts together. */
const REMEMBERED_IN_ALL = 100_000;

/** How many ids may still be remembered, of all hosts together. */
export class ParkingSpace {
  #left = REMEMBERED_IN_ALL;

  /** Takes a place for one id; false where none is left. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }

  free(places: number): void {
    this.#left += places;
  }
}

/**
 * The parked requests of one host. They come back one after the other, each at its time, so that their return keeps nobody
 * else waiting (P6); or earlier, when the host takes more again.
 */
export class Parking {
  readonly #space: ParkingSpace;
  readonly #ids = new Set<bigint>();
  readonly #called = new Set<bigint>();
  #calledAt = 0;
  #since = 0;
  #lastBackAt = Number.NEGATIVE_INFINITY;

  constructor(space: ParkingSpace) {
    this.#space = space;
  }

  /** True where a parked request could be called back. */
  get hasAny(): boolean {
    return this.#ids.size > 0;
  }

  /** Requests that were called back and have not come yet. */
  called(now: number): number {
    if (now - this.#calledAt > COMES_WITHIN_MS) this.#clear(this.#called);
    return this.#called.size;
  }

  /** Milliseconds until the last of them comes back by itself. */
  restMs(now: number): number {
    return Math.max(0, this.#lastBackAt - now);
  }

  /** True once every parked request has come back, a while ago. */
  isOver(now: number): boolean {
    return now > this.#lastBackAt + OVER_MS;
  }

  /** Parks one more request and returns for how many milliseconds; `sure` is whether the host is known to be slow. */
  park({ id, bytes }: { readonly id: bigint; readonly bytes: number }, sure: boolean, now: number): number {
    if (this.isOver(now)) this.#since = now;
    const stepMs = Math.max(1_000 / (sure ? BACK_PER_SECOND : BACK_PER_SECOND_UNSURE), bytes / BACK_BYTES_PER_MS);
    const leastMs = Math.min(MOST_MS, Math.max(LEAST_MS, (now - this.#since) / 2));
    this.#lastBackAt = Math.max(this.#lastBackAt + stepMs, now + leastMs);
    if (this.#ids.size < REMEMBERED && !this.#ids.has(id) && this.#space.take()) this.#ids.add(id);
    return Math.round(this.#lastBackAt - now);
  }

  /** This request came back, if it was parked. */
  back(id: bigint): void {
    if (this.#ids.delete(id)) this.#space.free(1);
    if (this.#called.delete(id)) this.#space.free(1);
  }

  /** Calls up to `count` back, those parked first before others, and returns their ids. */
  call(count: number, now: number): readonly bigint[] {
    const ids: bigint[] = [];
    for (const id of this.#ids) {
      if (ids.length >= count) break;
      ids.push(id);
      this.#ids.delete(id);
      this.#called.add(id);
    }
    this.#calledAt = now;
    return ids;
  }

  /** Remembers nothing of what was parked: another daemon may have sent it. */
  forget(): void {
    this.#clear(this.#ids);
    this.#clear(this.#called);
  }

  #clear(ids: Set<bigint>): void {
    this.#space.free(ids.size);
    ids.clear();
  }
}
