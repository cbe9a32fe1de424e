declare const brand: unique symbol;

/** The low 32 bits of a transaction id, unsigned, as the stream carries it. Wraps: never compare with `<`. */
export type Xid = number & { readonly [brand]: "Xid" };

/** The only place a plain number becomes an Xid. The stream's decoder reads it signed, so it is made unsigned here. */
export function xid(value: number): Xid {
  return (value >>> 0) as Xid;
}

/** The low 32 bits of a 64-bit transaction id (`xid8`). */
export function lowXid(value: bigint): Xid {
  return Number(BigInt.asUintN(32, value)) as Xid;
}

/** The 64-bit id with the low bits `low` that is nearest to `near`: right as long as they are less than 2^31 apart. */
export function widenXid(low: Xid, near: bigint): bigint {
  return near + BigInt.asIntN(32, BigInt(low) - near);
}
