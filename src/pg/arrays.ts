/**
 * Arrays as binary parameters: no escaping on this side, no parsing on the server's, and bytes stay bytes.
 * Layout: dimensions, has-null flag, element type, length, lower bound, then each element as length (-1 is null) and
 * bytes; see array_recv in https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c
 */
const HEADER_BYTES = 20;

/** Object ids of the element types, fixed in every PostgreSQL. */
const OID = { bool: 16, bytea: 17, int8: 20, int4: 23, text: 25, float8: 701 } as const;

/** An `int8[]`. */
export function int8Array(values: readonly bigint[]): Buffer {
  return fixed(OID.int8, 8, values, (target, value, at) => target.writeBigInt64BE(value, at));
}

/** An `int4[]`. */
export function int4Array(values: readonly (number | null)[]): Buffer {
  return fixed(OID.int4, 4, values, (target, value, at) => target.writeInt32BE(value, at));
}

/** A `float8[]`. */
export function float8Array(values: readonly (number | null)[]): Buffer {
  return fixed(OID.float8, 8, values, (target, value, at) => target.writeDoubleBE(value, at));
}

/** A `boolean[]`. */
export function booleanArray(values: readonly boolean[]): Buffer {
  return fixed(OID.bool, 1, values, (target, value, at) => target.writeUInt8(value ? 1 : 0, at));
}

/** A `text[]`, in UTF-8, as buffers are already; what has no UTF-8 form (a lone surrogate) becomes U+FFFD. */
export function textArray(values: readonly (string | Buffer | null)[]): Buffer {
  return variable(
    OID.text,
    values,
    (value) => Buffer.byteLength(value),
    (target, value, at) => (typeof value === "string" ? target.write(value, at) : value.copy(target, at)),
  );
}

/** A `bytea[]`. */
export function byteaArray(values: readonly (Buffer | null)[]): Buffer {
  return variable(
    OID.bytea,
    values,
    (value) => value.length,
    (target, value, at) => value.copy(target, at),
  );
}

function fixed<T>(
  oid: number,
  size: number,
  values: readonly (T | null)[],
  put: (target: Buffer, value: T, at: number) => void,
): Buffer {
  return variable(oid, values, () => size, put);
}

function variable<T>(
  oid: number,
  values: readonly (T | null)[],
  sizeOf: (value: T) => number,
  put: (target: Buffer, value: T, at: number) => void,
): Buffer {
  const sizes = values.map((value) => (value === null ? -1 : sizeOf(value)));
  const target = Buffer.allocUnsafe(HEADER_BYTES + sizes.reduce((sum, size) => sum + 4 + Math.max(size, 0), 0));
  target.writeInt32BE(1, 0);
  target.writeInt32BE(sizes.includes(-1) ? 1 : 0, 4);
  target.writeInt32BE(oid, 8);
  target.writeInt32BE(values.length, 12);
  target.writeInt32BE(1, 16);
  let at = HEADER_BYTES;
  values.forEach((value, index) => {
    const size = sizes[index] ?? -1;
    target.writeInt32BE(size, at);
    at += 4;
    if (value === null) return;
    put(target, value, at);
    at += size;
  });
  return target;
}
