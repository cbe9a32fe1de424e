declare const brand: unique symbol;

/** A byte position in the write-ahead log. Ordered: compare with `<` and `>`. */
export type Lsn = bigint & { readonly [brand]: "Lsn" };

/** The only place a plain bigint becomes an Lsn. */
export function lsn(value: bigint): Lsn {
  return BigInt.asUintN(64, value) as Lsn;
}

/** Before every position: what an unknown position is compared as. */
export const ZERO_LSN: Lsn = lsn(0n);

const TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads PostgreSQL's text form, such as `16/B374D848`. Throws a RangeError on anything else. */
export function parseLsn(text: string): Lsn {
  const parts = TEXT.exec(text);
  if (parts === null) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  const [, high = "", low = ""] = parts;
  return lsn((BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`));
}

/** PostgreSQL's text form, upper case, without leading zeros. */
export function formatLsn(position: Lsn): string {
  return `${(position >> 32n).toString(16)}/${(position & 0xffffffffn).toString(16)}`.toUpperCase();
}
