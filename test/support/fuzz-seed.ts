import fc from "fast-check";

/** Every case follows from it: the date, such as 20261121, unless `FUZZ_SEED` gives another. */
export const SEED: number =
  numberFrom("FUZZ_SEED") ?? Number(new Date().toISOString().slice(0, 10).replaceAll("-", ""));

/** Share of the cases that is run; 1 unless `FUZZ_SCALE` says otherwise. */
export const SCALE: number = numberFrom("FUZZ_SCALE") ?? 1;

/** The one batch to run; null for all. */
export const ONLY_BATCH: number | null = numberFrom("FUZZ_BATCH");

function numberFrom(variable: string): number | null {
  const text = process.env[variable] ?? "";
  if (text === "") return null;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`${variable} must be a number, got ${JSON.stringify(text)}`);
  return value;
}

/** The cases of one batch: the same for the same seed, whichever other batches are run. */
export function casesOf<T>(arbitrary: fc.Arbitrary<T>, batch: number, size: number): readonly T[] {
  return fc.sample(arbitrary, { seed: (SEED + Math.imul(batch + 1, 0x9e37_79b1)) | 0, numRuns: size });
}

/** The command that runs one batch again. */
export function repeatCommand(file: string, batch: number): string {
  const scale = SCALE === 1 ? "" : `FUZZ_SCALE=${SCALE} `;
  return `FUZZ_SEED=${SEED} ${scale}FUZZ_BATCH=${batch} npm run fuzz -- test/fuzz/${file}`;
}
