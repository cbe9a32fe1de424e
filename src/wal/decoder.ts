import type { Decoder } from "./events.ts";
import { pgoutputDecoder } from "./pgoutput.ts";
import { PUBLICATIONS } from "../pg/own-publications.ts";
import { INSTALLATION_TABLE } from "./publication-check.ts";
import { wal2jsonDecoder } from "./wal2json.ts";

/** The decoder of an output plugin, by its configured name. */
export function openDecoder(plugin: "pgoutput" | "wal2json"): Decoder {
  switch (plugin) {
    case "pgoutput":
      return pgoutputDecoder(PUBLICATIONS);
    case "wal2json":
      return wal2jsonDecoder([...PUBLICATIONS.map(({ schema, table }) => `${schema}.${table}`), INSTALLATION_TABLE]);
  }
}
