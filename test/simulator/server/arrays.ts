/** Elements of an array in the binary form of `src/pg/arrays.ts`; null stays null. */
function elements(value: unknown): readonly (Buffer | null)[] {
  if (!Buffer.isBuffer(value)) throw new TypeError("not an array in binary form");
  const count = value.readInt32BE(12);
  const found: (Buffer | null)[] = [];
  for (let at = 20; found.length < count;) {
    const length = value.readInt32BE(at);
    at += 4;
    found.push(length === -1 ? null : value.subarray(at, at + Math.max(0, length)));
    at += Math.max(0, length);
  }
  return found;
}

/** An `int8[]` without nulls. */
export function int8s(value: unknown): readonly bigint[] {
  return elements(value).map((bytes) => bytes?.readBigInt64BE() ?? 0n);
}

/** An `int4[]`. */
export function int4s(value: unknown): readonly (number | null)[] {
  return elements(value).map((bytes) => bytes?.readInt32BE() ?? null);
}

/** A `float8[]` without nulls. */
export function float8s(value: unknown): readonly number[] {
  return elements(value).map((bytes) => bytes?.readDoubleBE() ?? 0);
}

/** A `text[]` without nulls. */
export function texts(value: unknown): readonly string[] {
  return elements(value).map((bytes) => bytes?.toString() ?? "");
}
