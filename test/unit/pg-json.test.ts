import fc from "fast-check";
import { expect, it } from "vitest";
import { readJson } from "../../src/pg/json.ts";

it("any JSON is read as by JSON.parse, where JavaScript can hold it", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      const read: unknown = readJson(text);
      expect(JSON.stringify(read)).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
});

it("an integer of any length stays the same, wherever it stands", () => {
  fc.assert(
    fc.property(fc.bigInt(), (integer) => {
      const text = `{"a":${integer},"b":[${integer},"${integer}"]}`;
      expect(JSON.stringify(readJson(text))).toBe(text);
    }),
  );
});

it.each(["9007199254740991", "-9007199254740991", "0.1234567890123456789", '"1234567890123456789"'])(
  "%s is an ordinary value",
  (text) => {
    expect(readJson(text)).toBe(JSON.parse(text));
  },
);
