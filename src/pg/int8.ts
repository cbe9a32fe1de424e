const LONGEST_DIGITS = 19;

/** Whether `text` is a number that PostgreSQL takes for an int8, as ids of requests are. */
export function isInt8(text: string): boolean {
  if (!/^-?\d+$/.test(text) || text.length > LONGEST_DIGITS + 1) return false;
  return BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}
