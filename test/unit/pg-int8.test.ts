import { expect, test } from "vitest";
import { isInt8 } from "../../src/pg/int8.ts";

test.each(["0", "7", "-1", "007", "1000000000000000000", "9223372036854775807", "-9223372036854775808"])(
  "%s is an int8",
  (text) => {
    expect(isInt8(text)).toBe(true);
  },
);

test.each([
  "",
  "-",
  "+1",
  "1.0",
  "1e3",
  " 1",
  "1n",
  "9223372036854775808",
  "-9223372036854775809",
  "9".repeat(100_000),
])("%s is no int8", (text) => {
  expect(isInt8(text)).toBe(false);
});
