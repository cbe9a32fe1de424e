import type { Lane } from "../outbox/lane.ts";

/** So many lanes that had an answer are remembered. */
const MOST = 1_000;

/** Lanes that had an answer, with their hosts; the latest at the end. */
export class AnsweredLanes {
  readonly #hosts = new Map<Lane, string>();

  get lanes(): Iterable<Lane> {
    return this.#hosts.keys();
  }

  /** The host that answered in `lane` last. */
  hostOf(lane: Lane): string | undefined {
    return this.#hosts.get(lane);
  }

  answered(lane: Lane, host: string): void {
    this.#hosts.delete(lane);
    this.#hosts.set(lane, host);
    if (this.#hosts.size <= MOST) return;
    const [oldest] = this.#hosts.keys();
    if (oldest !== undefined) this.#hosts.delete(oldest);
  }
}
