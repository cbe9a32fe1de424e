import fc from "fast-check";
import { expect, test } from "vitest";
import { LARGEST_BYTES, LARGEST_HEADERS_BYTES } from "../../src/outbox/row.ts";
import { LARGEST_MESSAGE_BYTES, MessageLimit } from "../../src/wal/message-limit.ts";

/** A message of the protocol with `size` bytes after its length. */
function message(size: number): Buffer {
  const bytes = Buffer.alloc(5 + size, "d");
  bytes.writeUInt32BE(4 + size, 1);
  return bytes;
}

/** `bytes` cut at the given places. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [
    0,
    ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((one, other) => one - other),
    bytes.length,
  ];
  return places.slice(1).map((to, index) => bytes.subarray(places[index], to));
}

test("P5: finds a message that is too large as soon as its header is here, however the bytes are cut", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 20 });
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  fc.assert(
    fc.property(sizes, cuts, (all, places) => {
      const limit = new MessageLimit(200);
      const bytes = Buffer.concat(all.map((size) => message(size)));
      let found: number | null = null;
      for (const chunk of chunks(bytes, places)) found ??= limit.exceededBy(chunk);
      expect(found).toBe(all.find((size) => size > 200) ?? null);
    }),
  );
});

test("does not wait for the message itself", () => {
  const header = message(1_000_000).subarray(0, 5);
  const limit = new MessageLimit(200);
  expect(limit.exceededBy(header.subarray(0, 3))).toBeNull();
  expect(limit.exceededBy(header.subarray(3))).toBe(1_000_000);
});

test("the largest request fits", () => {
  expect(LARGEST_MESSAGE_BYTES).toBeGreaterThan(2 * LARGEST_BYTES + 6 * LARGEST_HEADERS_BYTES);
});
