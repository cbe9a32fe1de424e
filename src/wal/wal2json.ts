import pg from "pg";
import { z } from "zod";

import { parserOf } from "../pg/value-parsers.ts";
import { type Decoder, MESSAGE_PREFIX, type WalSink } from "./events.ts";
import { parseLsn } from "../pg/lsn.ts";
import { xid } from "../pg/xid.ts";

const table = { schema: z.string(), table: z.string() };
const column = z.object({ name: z.string(), typeoid: z.int(), value: z.unknown() });

const messageSchema = z.discriminatedUnion("action", [
  z.object({ action: z.literal("B"), xid: z.int(), lsn: z.string() }),
  z.object({ action: z.literal("C"), nextlsn: z.string() }),
  z.object({ action: z.literal("I"), ...table, columns: z.array(column) }),
  z.object({ action: z.literal("U"), ...table }),
  z.object({ action: z.literal("D"), ...table }),
  z.object({ action: z.literal("T"), ...table }),
  z.object({ action: z.literal("M"), lsn: z.string(), prefix: z.string(), content: z.string() }),
]);

const { BYTEA, INT8, NUMERIC } = pg.types.builtins;

/** Numbers that JavaScript cannot hold exactly; inside a JSON string the quotes would be escaped. */
const EXACT_NUMBERS = new RegExp(`("typeoid":(?:${INT8}|${NUMERIC}),"value":)(-?[0-9][0-9.eE+-]*)`, "g");

/**
 * The output plugin wal2json, format version 2: https://github.com/eulerto/wal2json. It knows no publications: `tables`
 * are those whose changes are wanted, as `schema.name`. Its `lsn` of a begin is where the commit record begins, the
 * `nextlsn` of a commit is where that record ends.
 */
export function wal2jsonDecoder(tables: readonly string[]): Decoder {
  return {
    plugin: "wal2json",
    publications: [],
    // The plugin writes in the database's encoding, whatever the client's is.
    encodings: ["UTF8", "SQL_ASCII"],
    startOptions: [
      `"format-version" '2'`,
      `"include-xids" 'true'`,
      `"include-lsn" 'true'`,
      `"include-transaction" 'true'`,
      `"include-types" 'false'`,
      `"include-type-oids" 'true'`,
      `"add-msg-prefixes" '${MESSAGE_PREFIX}'`,
      `"add-tables" '${tables.join(",")}'`,
    ],
    open: () => decodeMessage,
  };
}

function decodeMessage(payload: Buffer, sink: WalSink): void {
  const text = payload.toString().replaceAll(EXACT_NUMBERS, '$1"$2"');
  const message = messageSchema.parse(parseJson(text));
  switch (message.action) {
    case "B":
      sink.begin({
        xid: xid(message.xid),
        commitLsn: parseLsn(message.lsn),
      });
      break;
    case "I":
      sink.insert(`${message.schema}.${message.table}`, rowOf(message.columns));
      break;
    case "U":
    case "D":
      sink.change(`${message.schema}.${message.table}`);
      break;
    case "T":
      sink.truncate(`${message.schema}.${message.table}`);
      break;
    case "M":
      if (message.prefix === MESSAGE_PREFIX) sink.message(message.content, parseLsn(message.lsn));
      break;
    case "C":
      sink.commit(parseLsn(message.nextlsn));
      break;
  }
}

/** P11: the engine's own error quotes the text, which holds headers and bodies. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError("a message is no JSON");
  }
}

function rowOf(columns: readonly z.infer<typeof column>[]): Record<string, unknown> {
  return Object.fromEntries(columns.map(({ name, typeoid, value }) => [name, read(typeoid, value)]));
}

/** As pg reads the same value from a statement or from pgoutput. */
function read(typeoid: number, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (typeoid === BYTEA) return Buffer.from(value, "hex");
  return parserOf(typeoid)(value);
}
