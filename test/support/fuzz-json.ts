import fc from "fast-check";
import { SECRET, mostly } from "./fuzz-row.ts";

const COMMON_NAMES = (
  "__proto__ constructor toString hasOwnProperty length 0 Host Content-Length content-length Transfer-Encoding Connection " +
  "Upgrade Expect TE Trailer Keep-Alive Cookie Authorization Idempotency-Key User-Agent Accept Accept-Encoding"
).split(" ");

/** Names that mean something to JavaScript, to HTTP, or to nobody. */
const NAMES = [
  COMMON_NAMES,
  [
    "",
    " ",
    "a b",
    "a:b",
    "a\r\nX-Injected: 1",
    "a\nX-Injected: 1",
    "\t",
    "é",
    "名",
    "a\u0001b",
    ":",
    "a".repeat(20_000),
  ],
].flat();

const VALUES = [
  ["", " ", "1", "close", "upgrade", "chunked", "100-continue", "trailers", "*", "0", "-1", "5", "5, 6", "\t \t"],
  ["a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"],
  [
    "é",
    "名前",
    "\u{1f600}",
    "a\u0001b",
    "a\u007fb",
    "\u2028",
    "a\tb",
    "a\u0085X-Injected: 1",
    "\u560d\u560aX-Injected: 1",
  ],
  ["a".repeat(70_000), " ".repeat(10_000)],
].flat();

const name = mostly(
  [6, fc.constantFrom(...COMMON_NAMES)],
  [4, fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/)],
  [3, fc.constantFrom(...NAMES)],
  [1, fc.string({ maxLength: 12 })],
  [1, fc.string({ unit: "binary", maxLength: 6 })],
);

const value = mostly<unknown>(
  [3, fc.constantFrom(...VALUES)],
  [6, fc.string({ maxLength: 30 }).map((text) => SECRET + text)],
  [2, fc.string({ unit: "binary", maxLength: 10 })],
  [1, fc.jsonValue({ maxDepth: 3 })],
);

/** JSON text of numbers and nestings that JavaScript cannot write by itself. */
const odd = mostly<string>(
  [4, fc.constantFrom("1.10", "1763737000000.123456", "12345678901234567890", "-0", "1e400", "1e-400", "0.1e1", "1E5")],
  [2, fc.integer({ min: 1, max: 300 }).map((digits) => "9".repeat(digits))],
  [1, fc.integer({ min: 2, max: 1_000 }).map((exponent) => `1e${exponent}`)],
);

/** Each takes a few bytes as stored and up to 131 kB as text; a message of the stream with more of them is too large to be read. */
const enormous = fc
  .record({
    count: mostly([20, fc.constant(1)], [1, fc.integer({ min: 2, max: 300 })]),
    exponent: fc.integer({ min: 1_000, max: 131_000 }),
  })
  .map(({ count, exponent }) => `{${Array.from({ length: count }, (_, at) => `"n${at}":1e${exponent}`).join(",")}}`);

/** JSON nested `depth` deep around a number. */
function nested(depth: number, number: string, objects: boolean): string {
  return objects
    ? `${'{"a":'.repeat(depth)}${number}${"}".repeat(depth)}`
    : `${"[".repeat(depth)}${number}${"]".repeat(depth)}`;
}

const deep = fc
  .record({ depth: fc.integer({ min: 1, max: 3_000 }), number: odd, objects: fc.boolean() })
  .map(({ depth, number, objects }) => nested(depth, number, objects));

/** Text that `jsonb` takes: no NUL, no lone surrogate. */
function storable(text: string): string {
  return text.replaceAll(/(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, "$1?");
}

const object = fc
  .array(fc.tuple(name, value), { maxLength: 6 })
  .map((pairs) => storable(JSON.stringify(Object.fromEntries(pairs))));

/** Any JSON that the column can hold, as text. */
const anyJson = mostly<string>(
  [6, object],
  [2, fc.tuple(name, odd).map(([key, number]) => storable(`{${JSON.stringify(key)}:${number}}`))],
  [2, deep.map((inner) => `{"a":${inner}}`)],
  [1, deep],
  [0.05, enormous],
  [1, fc.json().map(storable)],
  [1, fc.constantFrom("null", "true", "[]", "{}", '""', "0", '"text"', "[[]]", '{"a":null}')],
);

/** Values of the column `headers`: none, plain ones, and whatever JSON may be there. */
export const headersJson: fc.Arbitrary<string | null> = mostly<string | null>(
  [3, fc.constant(null)],
  [5, fc.constant(`{"Authorization":"Bearer ${SECRET}","X-Own":"${SECRET}"}`)],
  [4, anyJson],
  // Rare, since each is large.
  [0.05, fc.integer({ min: 1, max: 8 }).map((factor) => JSON.stringify({ a: SECRET.repeat(factor * 5_000) }))],
  [
    0.05,
    fc
      .integer({ min: 1, max: 8_000 })
      .map((count) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, n) => [`h${n}`, "v"])))),
  ],
);

/** Flat objects: those whose names and values are well formed reach the wire. */
export const hostileHeaders: fc.Arbitrary<string> = object;

const NO_NUMBERS = [-1, 1_001, 2 ** 31, -(2 ** 31), 2 ** 53, 1.5, 1e300, "2", null, [], {}];
/** Tries are few, and waits between them a moment or an hour: a batch is over when the moments are. */
const MOMENTS = [0, 1, 5, 3_600_000, 2_147_483_647];

const option = {
  max_attempts: mostly<unknown>([8, fc.constantFrom(1, 2, 3)], [1, fc.constantFrom<unknown>(0, ...NO_NUMBERS)]),
  retry_first_ms: mostly<unknown>(
    [8, fc.constantFrom(...MOMENTS)],
    [1, fc.constantFrom<unknown>(-1, 1.5, "1", null, 1e300)],
  ),
  retry_max_ms: fc.constant<unknown>(5),
  max_redirects: fc.constantFrom<unknown>(0, 1, 50, 51, ...NO_NUMBERS),
  keep: fc.constantFrom<unknown>("all", "headers", "status", "ALL", "", null, 1, ["all"]),
};

/** Values of the column `options`. */
export const optionsJson: fc.Arbitrary<string | null> = mostly<string | null>(
  [6, fc.constant(null)],
  [3, fc.record(option, { requiredKeys: [] }).map((options) => JSON.stringify(options))],
  [1, anyJson],
);
