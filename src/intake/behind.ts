import type { Lane } from "../outbox/lane.ts";

/** With more lanes behind than this, every lane is. */
const MOST_NAMED = 20_000;

/** The lanes that are behind: of which the outbox may have rows that memory has not. */
export class Behind {
  #every = true;
  readonly #lanes = new Set<Lane>();

  /** True where every lane is, those never heard of included. */
  get isEvery(): boolean {
    return this.#every;
  }

  /** How many are. */
  get count(): number | "every" {
    return this.#every ? "every" : this.#lanes.size;
  }

  has(lane: Lane): boolean {
    return this.#every || this.#lanes.has(lane);
  }

  /** The lanes by name; none where every lane is. */
  get lanes(): Iterable<Lane> {
    return this.#lanes;
  }

  add(lane: Lane): void {
    if (this.#every) return;
    this.#lanes.add(lane);
    if (this.#lanes.size > MOST_NAMED) this.addEvery();
  }

  addEvery(): void {
    this.#every = true;
    this.#lanes.clear();
  }

  /** Only `lanes` are, from now on. True where a lane that was is not any more. */
  set(lanes: ReadonlySet<Lane>): boolean {
    const caughtUp = this.#every || [...this.#lanes].some((lane) => !lanes.has(lane));
    this.#every = false;
    this.#lanes.clear();
    for (const lane of lanes) this.add(lane);
    return caughtUp;
  }
}
