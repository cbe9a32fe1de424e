import type { Clock } from "../base/clock.ts";
import type { CommandContext } from "./context.ts";
import type { LiveView } from "./live-view.ts";

/** Interval of lines where there is no terminal, in milliseconds. */
const LINE_EVERY_MS = 5_000;
/** A terminal need not be written to more often, in milliseconds. */
const SHOW_EVERY_MS = 100;

/** Says how far long work has come: in place on a terminal, elsewhere by a line every five seconds, and one for each new kind of news. */
export class Progress implements Disposable {
  readonly #print: (line: string) => void;
  readonly #live: LiveView | null;
  readonly #clock: Clock;
  #shownAt = Number.NEGATIVE_INFINITY;
  #last: { readonly at: number; readonly kind: string };

  /** News of the first `kind` is none: the work takes a moment to begin. */
  constructor({ print, live }: Pick<CommandContext, "print" | "live">, clock: Clock, kind: string) {
    this.#print = print;
    this.#live = live?.() ?? null;
    this.#clock = clock;
    this.#last = { at: clock.now(), kind };
  }

  /** Shows `line`, or leaves it out where something of that kind was said just before; true where it was a line to stay. */
  report(kind: string, line: string): boolean {
    const now = this.#clock.now();
    if (kind !== this.#last.kind || now - this.#shownAt >= SHOW_EVERY_MS) {
      this.#live?.show([line]);
      this.#shownAt = now;
    }
    if (kind === this.#last.kind && now - this.#last.at < LINE_EVERY_MS) return false;
    this.#last = { at: now, kind };
    if (this.#live === null) this.#print(line);
    return true;
  }

  /** Prints a line to stay, in the place of what is shown. */
  print(line: string): void {
    this.#live?.clear();
    this.#print(line);
  }

  /** Removes what is shown in place, before other lines are printed. */
  [Symbol.dispose](): void {
    this.#live?.clear();
    this.#live?.[Symbol.dispose]();
  }
}

/** The speed is that of the last half minute. */
const WINDOW_MS = 30_000;
/** Readings that are kept are this far apart. */
const READ_EVERY_MS = 500;

/** Estimates how long work takes yet, by how what is left of it went down lately. */
export class TimeLeft {
  #readings: { readonly at: number; readonly left: number }[] = [];

  /** Takes a reading; returns milliseconds, or null while nothing goes down. */
  after(at: number, left: number): number | null {
    if (at - (this.#readings.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= READ_EVERY_MS) {
      this.#readings = this.#readings.filter((one) => at - one.at <= WINDOW_MS);
      this.#readings.push({ at, left });
    }
    const [first] = this.#readings;
    if (first === undefined || at === first.at || left >= first.left) return null;
    return (left * (at - first.at)) / (first.left - left);
  }
}

/** `, about 3 min left`; nothing where it is not known. */
export function leftText(ms: number | null): string {
  if (ms === null) return "";
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `, about ${seconds} s left`;
  if (seconds < 5_400) return `, about ${Math.round(seconds / 60)} min left`;
  return `, about ${(seconds / 3600).toFixed(1)} h left`;
}
