import { hostOfLane, type Lane } from "../outbox/lane.ts";
import type { LaneActivity } from "./host.ts";

/** So many lanes of paused hosts are remembered: those beyond are read from the outbox again and again. */
const MOST = 10_000;

const NOTHING = { queued: 0, inFlight: 0, isPaused: true, lastFailure: null };

/** Lanes of which rows were left to the outbox since their host is paused. P6: all requests of each go to that host. */
export class PausedLanes {
  readonly #isPaused: (host: string) => boolean;
  readonly #hosts = new Map<Lane, string>();

  constructor(isPaused: (host: string) => boolean) {
    this.#isPaused = isPaused;
  }

  get size(): number {
    return this.#hosts.size;
  }

  get lanes(): Iterable<Lane> {
    return this.#hosts.keys();
  }

  has(lane: Lane): boolean {
    return this.#hosts.has(lane);
  }

  /** Leaves `lane` to the outbox where `host` is paused; false where it is not, or where the lane may have requests to others. */
  leave(lane: Lane, host: string): boolean {
    if (!this.#isPaused(host) || hostOfLane(lane) !== host) return false;
    if (this.#hosts.size < MOST) this.#hosts.set(lane, host);
    return true;
  }

  /** True where a request to `host`, which is paused, must not wait in `lane`: others there go to other hosts. */
  isMixed(lane: Lane, host: string): boolean {
    return this.#isPaused(host) && hostOfLane(lane) !== host;
  }

  /** Forgets the lanes whose hosts are not paused any more, and returns them. */
  resume(): readonly Lane[] {
    const resumed = [...this.#hosts].flatMap(([lane, host]) => (this.#isPaused(host) ? [] : [lane]));
    for (const lane of resumed) this.#hosts.delete(lane);
    return resumed;
  }

  /** What is done with those that are not `known` to be in memory. */
  activity(known: ReadonlySet<Lane>): readonly LaneActivity[] {
    return [...this.#hosts].flatMap(([lane, host]) => (known.has(lane) ? [] : [{ ...NOTHING, lane, host }]));
  }
}
