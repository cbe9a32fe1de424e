/** The number of an option of a program; throws where it is not above zero. */
export function positiveNumber(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new Error(`${name} must be a positive number, got "${text}"`);
  return value;
}

/** As `positiveNumber`, and whole. */
export function positiveInteger(name: string, text: string): number {
  const value = positiveNumber(name, text);
  if (!Number.isSafeInteger(value)) throw new Error(`${name} must be a positive integer, got "${text}"`);
  return value;
}
