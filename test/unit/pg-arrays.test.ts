import { expect, test } from "vitest";
import { booleanArray, byteaArray, float8Array, int4Array, int8Array, textArray } from "../../src/pg/arrays.ts";

/** As `array_send` of PostgreSQL writes each; https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c */
const ARRAYS: readonly (readonly [type: string, array: Buffer, sent: string])[] = [
  [
    "array[1, -2]::int8[]",
    int8Array([1n, -2n]),
    "00000001 00000000 00000014 00000002 00000001 00000008 0000000000000001 00000008 fffffffffffffffe",
  ],
  [
    "array[7, null]::int4[]",
    int4Array([7, null]),
    "00000001 00000001 00000017 00000002 00000001 00000004 00000007 ffffffff",
  ],
  [
    "array[null, 0.5]::float8[]",
    float8Array([null, 0.5]),
    "00000001 00000001 000002bd 00000002 00000001 ffffffff 00000008 3fe0000000000000",
  ],
  [
    "array[true, false]",
    booleanArray([true, false]),
    "00000001 00000000 00000010 00000002 00000001 00000001 01 00000001 00",
  ],
  [
    "array['a', null, '', 'ü', 'b']::text[]",
    textArray(["a", null, "", "ü", Buffer.from("b")]),
    "00000001 00000001 00000019 00000005 00000001 00000001 61 ffffffff 00000000 00000002 c3bc 00000001 62",
  ],
  [
    String.raw`array['\x00ff', null, '\x']::bytea[]`,
    byteaArray([Buffer.from("00ff", "hex"), null, Buffer.alloc(0)]),
    "00000001 00000001 00000011 00000003 00000001 00000002 00ff ffffffff 00000000",
  ],
];

test.each(ARRAYS)("%s is written as PostgreSQL writes it", (_type, array, sent) => {
  expect(array.toString("hex")).toBe(sent.replaceAll(" ", ""));
});
