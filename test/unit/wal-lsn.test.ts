import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatLsn, lsn, parseLsn, ZERO_LSN } from "../../src/pg/lsn.ts";
import { acknowledgement, Positions } from "../../src/wal/confirmed-position.ts";
import { lowXid, widenXid, xid } from "../../src/pg/xid.ts";

const anyLsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(lsn);

describe("positions in the log", () => {
  test("are read from PostgreSQL's text, and written as such", () => {
    expect(parseLsn("16/B374D848")).toBe(0x16b374d848n);
    expect(formatLsn(lsn(0x16b374d848n))).toBe("16/B374D848");
    expect(formatLsn(ZERO_LSN)).toBe("0/0");
    expect(parseLsn("ffffffff/ffffffff")).toBe(2n ** 64n - 1n);
    fc.assert(fc.property(anyLsn, (position) => parseLsn(formatLsn(position)) === position));
  });

  test.each(["", "0", "0/", "/0", "0/123456789", "g/0", "0/0 ", "-1/0", "1/2/3"])("%j is none", (text) => {
    expect(() => parseLsn(text)).toThrow(RangeError);
  });

  test("the library is given one byte less than what is to be confirmed, since it adds one", () => {
    expect(acknowledgement(lsn(1_000n))).toBe(999n);
    expect(acknowledgement(lsn(0x1_0000_0000n))).toBe(0xffff_ffffn);
    expect(acknowledgement(ZERO_LSN)).toBe(ZERO_LSN);
  });
});

describe("how far the stream was received", () => {
  test("goes from commit to commit, never into the middle of a transaction", () => {
    const positions = new Positions();
    positions.start(lsn(100n));
    expect(positions.received).toBe(100n);
    positions.keepalive(lsn(150n));
    expect(positions.received).toBe(150n);
    positions.begin();
    positions.keepalive(lsn(180n));
    expect(positions.received).toBe(150n);
    positions.commit(lsn(200n));
    expect(positions.received).toBe(200n);
    positions.keepalive(lsn(250n));
    expect(positions.received).toBe(250n);
  });

  test("never goes back", () => {
    const positions = new Positions();
    positions.start(lsn(100n));
    positions.commit(lsn(50n));
    positions.keepalive(lsn(60n));
    expect(positions.received).toBe(100n);
  });
});

describe("transaction ids", () => {
  test("read signed by the library are unsigned here", () => {
    expect(xid(-1)).toBe(0xffff_ffff);
    expect(xid(-2_147_483_648)).toBe(0x8000_0000);
    expect(xid(7)).toBe(7);
  });

  test("of 32 bits are widened to the nearest of 64, over the wrap in both directions", () => {
    expect(widenXid(xid(5), 0x1_ffff_fff0n)).toBe(0x2_0000_0005n);
    expect(widenXid(xid(0xffff_fff0), 0x2_0000_0005n)).toBe(0x1_ffff_fff0n);
    const near = fc.bigInt({ min: 2n ** 31n, max: 2n ** 63n });
    const apart = fc.bigInt({ min: -(2n ** 31n), max: 2n ** 31n - 1n });
    fc.assert(fc.property(near, apart, (id, by) => widenXid(lowXid(id + by), id) === id + by));
  });
});
