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

/** A logical message as the plugin streams it, of pgoutput with type, flags and position, prefix, size and content. */
function logicalMessage({ plugin, prefix, size }: { plugin: string; prefix: string; size: number }): Buffer {
  const beginning =
    plugin === "pgoutput" ? `M${"\0".repeat(9)}${prefix}\0size` : `{"action":"M","prefix":"${prefix}","content":"`;
  const content = Buffer.concat([Buffer.from(beginning), Buffer.alloc(size, "x")]);
  const xLogData = Buffer.concat([Buffer.from("w"), Buffer.alloc(24), content]);
  const frame = message(xLogData.length);
  xLogData.copy(frame, 5);
  return frame;
}

test("P5: finds a message that is too large as soon as it begins, however the bytes are cut", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 20 });
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  fc.assert(
    fc.property(sizes, cuts, (all, places) => {
      const limit = new MessageLimit(200);
      const bytes = Buffer.concat(all.map((size) => message(size)));
      const read: Buffer[] = [];
      let found: number | null = null;
      for (const chunk of chunks(bytes, places)) found ??= limit.read(chunk, (part) => read.push(part));
      expect(found).toBe(all.find((size) => size > 200) ?? null);
      expect(found === null ? Buffer.concat(read) : bytes).toEqual(bytes);
    }),
  );
});

test("does not wait for the message itself", () => {
  const header = message(1_000_000).subarray(0, 50);
  const limit = new MessageLimit(200);
  expect(limit.read(header.subarray(0, 3), () => undefined)).toBeNull();
  expect(limit.read(header.subarray(3), () => undefined)).toBe(1_000_000);
});

test("P5: leaves out large logical messages, whatever their prefix, and nothing else, however the bytes are cut", () => {
  const one = fc.oneof(
    fc.record({
      plugin: fc.constantFrom("pgoutput", "wal2json"),
      prefix: fc.constantFrom("pgnetd", "", "other"),
      size: fc.constantFrom(1, 140_000),
    }),
    fc.record({ plugin: fc.constant(null), size: fc.constantFrom(0, 30, 70_000) }),
  );
  const cuts = fc.array(fc.oneof(fc.nat(), fc.nat(100)), { maxLength: 40 });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), cuts, (all, places) => {
      const frames = all.map((one) => ({
        bytes: one.plugin === null ? message(one.size) : logicalMessage(one),
        isLeftOut: one.plugin !== null && one.size > 65_536,
      }));
      // What is left out is none that is too large.
      const limit = new MessageLimit(71_000);
      const read: Buffer[] = [];
      for (const chunk of chunks(Buffer.concat(frames.map(({ bytes }) => bytes)), places)) {
        expect(limit.read(chunk, (part) => read.push(part))).toBeNull();
      }
      const kept = frames.filter(({ isLeftOut }) => !isLeftOut).map(({ bytes }) => bytes);
      expect(Buffer.concat(read).equals(Buffer.concat(kept))).toBe(true);
    }),
  );
});

/** A message with a type, and in its content a `w` or other type, and after its positions `payload` and `size` bytes more. */
function frame({ type = "d", inner = "w", payload = "M" }, size: number): Buffer {
  const content = Buffer.concat([Buffer.from(inner), Buffer.alloc(24), Buffer.from(payload), Buffer.alloc(size, "x")]);
  const bytes = message(content.length);
  bytes.write(type);
  content.copy(bytes, 5);
  return bytes;
}

test.each([
  ["a row", { payload: "I" }],
  ["a row of wal2json", { payload: '{"action":"I"' }],
  ["what is none of the log", { inner: "k" }],
  ["what is none of the stream", { type: "D" }],
])("P2: %s is read however large it is, and whatever is in it", (_, what) => {
  const limit = new MessageLimit(1_000_000);
  const bytes = frame(what, 100_000);
  const read: Buffer[] = [];
  expect(limit.read(bytes, (part) => read.push(part))).toBeNull();
  expect(read).toEqual([bytes]);
});

test.each([
  [65_536, true],
  [65_537, false],
])("P5: of a logical message of %d bytes it is %s that it is read", (size, isRead) => {
  const read: Buffer[] = [];
  const bytes = frame({}, size - frame({}, 0).length + 5);
  const next = message(3);
  new MessageLimit(1_000_000).read(Buffer.concat([bytes, next]), (part) => read.push(part));
  expect(Buffer.concat(read).equals(isRead ? Buffer.concat([bytes, next]) : next)).toBe(true);
});

test("what is to be read as it came is not copied, and nothing empty is read", () => {
  const limit = new MessageLimit(1_000_000);
  const read: Buffer[] = [];
  const whole = message(100);
  for (const chunk of [whole, frame({}, 100_000), whole.subarray(0, 3)]) limit.read(chunk, (part) => read.push(part));
  expect(read).toHaveLength(1);
  expect(read[0]).toBe(whole);
});

test("the largest request fits", () => {
  expect(LARGEST_MESSAGE_BYTES).toBeGreaterThan(2 * LARGEST_BYTES + 6 * LARGEST_HEADERS_BYTES);
});
