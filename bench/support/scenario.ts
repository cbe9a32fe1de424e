import type { Rig } from "./rig.ts";

/** Measured values by their names, which tell the unit. */
export type Figures = Readonly<Record<string, number>>;

/** One thing that is measured of a version, in a rig of its own. */
export interface Scenario {
  readonly name: string;
  /** How often each version is measured; what is shown is the median. */
  readonly rounds: number;
  /** Server settings. */
  readonly settings?: Readonly<Record<string, string>>;
  measure(rig: Rig): Promise<Figures>;
}

/** The least and the most of `count` shares of `numbers`, as parts of their mean; `shareOf` tells whose one is. */
export function shares(numbers: readonly number[], count: number, shareOf: (n: number) => number): Figures {
  const counts = new Int32Array(count);
  for (const n of numbers) counts[shareOf(n)] = (counts[shareOf(n)] ?? 0) + 1;
  const mean = numbers.length / count;
  return {
    "mean share": mean,
    "least / mean share": Math.min(...counts) / mean,
    "most / mean share": Math.max(...counts) / mean,
  };
}
