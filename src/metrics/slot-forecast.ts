interface Reading {
  readonly at: number;
  readonly safeBytes: number;
}

/** Readings older than this say nothing of the present rate, in milliseconds. */
const WINDOW_MS = 300_000;
/** Closer together than this they are not kept. */
const STEP_MS = 5_000;
/** Over less than this they say nothing of a rate: the server counts whole segments of 16 MiB. */
const LEAST_MS = 60_000;

/** When what a slot may still retain is used up, at the rate of the last minutes. */
export class SlotForecast {
  #readings: Reading[] = [];

  /** At `at`, in milliseconds, so many bytes may still be written; null without a limit. Returns the seconds until none may; null where that is not known. */
  read(at: number, safeBytes: number | null): number | null {
    if (safeBytes === null) {
      this.#readings = [];
      return null;
    }
    if (safeBytes <= 0) return 0;
    this.#readings = this.#readings.filter((reading) => at - reading.at <= WINDOW_MS);
    const [first] = this.#readings;
    const last = this.#readings.at(-1);
    if (last === undefined || at - last.at >= STEP_MS) this.#readings.push({ at, safeBytes });
    if (first === undefined || at - first.at < LEAST_MS) return Infinity;
    const used = first.safeBytes - safeBytes;
    return used <= 0 ? Infinity : (safeBytes * (at - first.at)) / used / 1_000;
  }
}
