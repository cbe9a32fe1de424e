import type { Lane } from "../outbox/lane.ts";
import type { SweptLanes } from "./swept-snapshots.ts";

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

  /** A sweep read `lanes`: those of `left` are behind from now on, the others not any more. True where one of these was. */
  swept(lanes: SweptLanes, left: ReadonlySet<Lane>): boolean {
    const were = lanes === "every" ? [...this.#lanes] : [...lanes].filter((lane) => this.#lanes.has(lane));
    const caughtUp = this.#every || were.some((lane) => !left.has(lane));
    this.#every = false;
    for (const lane of were) this.#lanes.delete(lane);
    for (const lane of left) this.add(lane);
    return caughtUp;
  }
}
