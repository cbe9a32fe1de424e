import fc from "fast-check";
import pg from "pg";
import { expect, test } from "vitest";

const OIDS = Array.from({ length: 5_000 }, (_, oid) => oid);
/** What the driver itself reads with, before anything of pgnetd is loaded. */
const before: unknown[] = OIDS.map((oid): unknown => pg.types.getTypeParser(oid));
const { connectionConfig } = await import("../../src/pg/pool.ts");
const { openDecoder } = await import("../../src/wal/decoder.ts");
const { parserOf } = await import("../../src/pg/value-parsers.ts");

test("loading pgnetd changes no parser of the process", () => {
  openDecoder("pgoutput").open();
  openDecoder("wal2json").open();
  expect(OIDS.filter((oid) => pg.types.getTypeParser(oid) !== before[oid])).toEqual([]);
});

test("P2: jsonb, times and types of anybody's own stay the text that PostgreSQL wrote, whatever that is", () => {
  const { JSONB, TIMESTAMPTZ, NUMERIC, INT8, INTERVAL } = pg.types.builtins;
  const oid = fc.oneof(fc.constantFrom(JSONB, TIMESTAMPTZ, NUMERIC, INT8, INTERVAL), fc.integer({ min: 10_000 }));
  fc.assert(fc.property(oid, fc.string(), (one, text) => parserOf(one)(text) === text));
});

test("every connection reads so", () => {
  const getTypeParser = connectionConfig("postgres://u@h/db", "pgnetd").types?.getTypeParser as unknown;
  const read = getTypeParser as (oid: number, format: "text") => (text: string) => unknown;
  const { JSONB, INT4 } = pg.types.builtins;
  expect([read(JSONB, "text")("{"), read(INT4, "text")("7")]).toEqual(["{", 7]);
});
