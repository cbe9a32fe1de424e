import fc from "fast-check";
import { expect, test } from "vitest";
import { ContentBuffer } from "../../src/http/content-buffer.ts";

/** Slices of one socket's buffer, which each keep all of it. */
function slicesOf(content: Buffer, lengths: readonly number[], behind = 65_536): Buffer[] {
  const slices: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    const read = Buffer.alloc(Math.max(behind, length));
    const copied = content.copy(read, 7 % read.length, at, at + length);
    slices.push(read.subarray(7 % read.length, (7 % read.length) + copied));
    at += length;
  }
  return slices.filter(({ length }) => length > 0);
}

test("what came in pieces of any size is given back whole, whatever length was expected", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 5_000 }).map((bytes) => Buffer.from(bytes)));
  fc.assert(
    fc.property(pieces, fc.option(fc.nat(200_000)), (all, expected) => {
      const buffer = new ContentBuffer();
      for (const piece of all) buffer.add(piece, expected);
      const whole = Buffer.concat(all);
      expect(buffer.length).toBe(whole.length);
      expect(buffer.take().equals(whole)).toBe(true);
      expect(buffer.length).toBe(0);
    }),
  );
});

test.each([
  ["of one byte", 1, 100_000],
  ["of 100 bytes", 100, 3_000],
  ["of a page", 4_096, 700],
  ["as large as can be read at once", 65_536, 45],
])("P5: pieces %s: no more than little beyond their length is kept in memory", (_what, length, count) => {
  const content = Buffer.alloc(length * count, "x");
  const buffer = new ContentBuffer();
  for (const piece of slicesOf(
    content,
    Array.from({ length: 10 }, () => length),
  ))
    buffer.add(piece, null);
  const few = buffer.take();
  expect(few.buffer.byteLength).toBeLessThanOrEqual(Math.max(4_096, 2 * few.length));
  const read = Buffer.alloc(65_536);
  for (let at = 0; at < count; at += 1) buffer.add(read.subarray(0, length), null);
  const whole = buffer.take();
  expect(whole).toHaveLength(content.length);
  expect(whole.buffer.byteLength).toBeLessThanOrEqual(whole.length + 4_096);
});

test("P5: the only piece is kept as it is, unless it keeps much more than itself in memory", () => {
  const [small = Buffer.alloc(0)] = slicesOf(Buffer.alloc(300, "x"), [300], 2_000);
  const [mostly = Buffer.alloc(0)] = slicesOf(Buffer.alloc(40_000, "x"), [40_000]);
  const [little = Buffer.alloc(0)] = slicesOf(Buffer.alloc(300, "x"), [300]);
  const taken = [small, mostly, little].map((piece) => {
    const buffer = new ContentBuffer();
    buffer.add(piece, null);
    return buffer.take();
  });
  expect(taken.map(({ buffer }) => buffer.byteLength)).toEqual([2_000, 65_536, 300]);
  expect(taken.map(({ length }) => length)).toEqual([300, 40_000, 300]);
});
