/** Observed numbers by bucket. An observation makes no object: prom-client's own makes several, with text, for each. */
export class Distribution {
  readonly #bounds: readonly number[];
  /** One for each bound, and one for what is above all of them. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** `bounds` are the upper ones, ascending; a number on a bound is below it. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** A number that is not finite is not counted: it would spoil the sum for ever. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** How many numbers were at or below each bound; `+Inf` comes last. */
  get cumulative(): readonly (readonly [bound: number, count: number])[] {
    let sum = 0;
    return [...this.#bounds, Infinity].map((bound, index) => [bound, (sum += this.#counts[index] ?? 0)] as const);
  }
}
