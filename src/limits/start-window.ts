/** The times of the latest starts: P7's hard bound, whatever timers, banked permits and late ticks do. */
export class StartWindow {
  /** A ring of the last `max` starts; `#oldest` is the one that must have left the window before the next start. */
  readonly #times: Float64Array;
  readonly #spanMs: number;
  #oldest = 0;

  private constructor(times: Float64Array, spanMs: number) {
    this.#times = times;
    this.#spanMs = spanMs;
  }

  /**
   * A window that allows `max` starts in any half-open `spanMs`. What ran before is unknown, so it counts as `max` even
   * starts up to `now`: one more start is free at once, and those after it come evenly, the first of them `heldBack`
   * starts later than even, for what the past may have sent ahead of its time.
   */
  static afterFullRate(options: { max: number; spanMs: number; now: number; heldBack: number }): StartWindow {
    const { max, spanMs, now, heldBack } = options;
    const times = Float64Array.from({ length: max }, (_, index) =>
      index === 0 ? now - spanMs : now - spanMs + ((index + heldBack) * spanMs) / max,
    );
    return new StartWindow(times, spanMs);
  }

  /** This past and that of `other` together, both of the same bounds: what either holds back stays held back. */
  combinedWith(other: StartWindow): StartWindow {
    const times = other.#ordered();
    return new StartWindow(
      Float64Array.from(this.#ordered(), (time, index) => Math.max(time, times[index] ?? time)),
      this.#spanMs,
    );
  }

  /** The time from which one more start is allowed that leaves `left` more; may lie in the past. */
  freeAt(left = 0): number {
    return (this.#times[(this.#oldest + left) % this.#times.length] ?? 0) + this.#spanMs;
  }

  /** Records a start at `now`; times never go back. */
  add(now: number): void {
    this.#times[this.#oldest] = now;
    this.#oldest = (this.#oldest + 1) % this.#times.length;
  }

  /** The same past under another bound. Starts older than this window remembers are outside of every window. */
  resized(max: number, spanMs: number): StartWindow {
    const past = this.#ordered().slice(-max);
    const times = new Float64Array(max).fill(Number.NEGATIVE_INFINITY);
    times.set(past, max - past.length);
    return new StartWindow(times, spanMs);
  }

  /** Oldest first. */
  #ordered(): number[] {
    return [...this.#times.subarray(this.#oldest), ...this.#times.subarray(0, this.#oldest)];
  }
}
