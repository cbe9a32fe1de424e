import pg from "pg";

const { BOOL, BYTEA, FLOAT4, FLOAT8, INT2, INT4, JSON: JSON_TEXT, OID } = pg.types.builtins;
const INT4_ARRAY = 1007;
const TEXT_ARRAY = 1009;

/**
 * Types whose text becomes a JavaScript value. Every other value stays the text that PostgreSQL wrote, `jsonb` and times
 * included: a parser that throws would fail the whole statement, or the whole stream, for what one row holds. (`json` is what
 * our own statements build.)
 */
const READ: ReadonlySet<number> = new Set([
  BOOL,
  BYTEA,
  FLOAT4,
  FLOAT8,
  INT2,
  INT4,
  JSON_TEXT,
  OID,
  INT4_ARRAY,
  TEXT_ARRAY,
]);

const parsers = pg.types.getTypeParser as (oid: number, format?: "text" | "binary") => (value: string) => unknown;

/** Reads the text of a value of type `oid`. */
export function parserOf(oid: number): (text: string) => unknown {
  return READ.has(oid) ? parsers(oid) : asText;
}

function asText(text: string): string {
  return text;
}

/** For the connections of pgnetd: values are read by `parserOf`. */
export const valueTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    format === "binary" ? parsers(oid, format) : parserOf(oid)) as typeof pg.types.getTypeParser,
};
