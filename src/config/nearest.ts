import leven from "leven";

/** `; did you mean X?` with the closest of `known`, or nothing where none is close to `given`. */
export function didYouMean(given: string, known: readonly string[]): string {
  const wanted = given.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const word = candidate.toLowerCase();
    const distance = word.startsWith(wanted) || wanted.startsWith(word) ? 1 : leven(wanted, word);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? "" : `; did you mean ${best}?`;
}
