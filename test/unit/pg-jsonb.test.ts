import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonbPairs } from "../../src/pg/jsonb.ts";

/** JSON as PostgreSQL writes `jsonb`: a space after each colon and comma. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, inner]) => `${JSON.stringify(name)}: ${canonical(inner)}`)
    .join(", ")}}`;
}

it("any object is read as its names and the text of its values", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), (object) => {
      const expected = Object.entries(object)
        .filter(([, value]) => value !== null)
        .map(([name, value]) => [name, typeof value === "string" ? value : canonical(value)]);
      expect(jsonbPairs(canonical(object))).toEqual(expected);
    }),
  );
});

it.each([
  ['{"a": 1763737000000.123456}', [["a", "1763737000000.123456"]]],
  [
    '{"a": 1.10, "b": [1, 2], "c": -0.0, "d": 9223372036854775808}',
    [
      ["a", "1.10"],
      ["b", "[1, 2]"],
      ["c", "-0.0"],
      ["d", "9223372036854775808"],
    ],
  ],
  [
    String.raw`{"a\"}": "\\", "b": {"]": "}\\\""}, "c": null}`,
    [
      ['a"}', "\\"],
      ["b", String.raw`{"]": "}\\\""}`],
    ],
  ],
  [
    '{"10": "b", "9": "a"}',
    [
      ["10", "b"],
      ["9", "a"],
    ],
  ],
  [
    '{"__proto__": "x", "": ""}',
    [
      ["__proto__", "x"],
      ["", ""],
    ],
  ],
  ["{}", []],
])("%s", (text, pairs) => {
  expect(jsonbPairs(text)).toEqual(pairs);
});

it.each([
  "",
  "null",
  "[]",
  '"a"',
  "1",
  "{",
  '{"a"',
  '{"a": ',
  '{"a": 1',
  '{"a": 1,',
  '{"a": 1]',
  '{"a": "b}',
  '{"a": [1}',
  "{a: 1}",
  '{a": 1}',
  '["a": 1}',
  '{"a": [1',
  '{"a": ["b',
  '{"a": "b"; "c": "d"}',
  '{"a": 1} ',
])("%j is no object", (text) => {
  expect(jsonbPairs(text)).toBeNull();
});

it("a long run of escapes, of strings or of brackets takes no longer than its length", () => {
  const count = 500_000;
  for (const inner of ["\\\\".repeat(count), '\\"'.repeat(count)])
    expect(jsonbPairs(`{"a": "${inner}"}`)?.[0]?.[1]).toHaveLength(count);
  const nested = `[${'"]", '.repeat(count)}${"[".repeat(count)}${"]".repeat(count)}]`;
  expect(jsonbPairs(`{"a": ${nested}}`)).toEqual([["a", nested]]);
});
