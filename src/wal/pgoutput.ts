import { type Pgoutput, PgoutputPlugin } from "pg-logical-replication";

import "../pg/type-parsers.ts";
import { type Decoder, MESSAGE_PREFIX } from "./events.ts";
import { lsn, type Lsn, parseLsn } from "./lsn.ts";
import type { NeededPublication } from "../pg/own-publications.ts";
import { xid } from "./xid.ts";

/** The built-in output plugin, protocol version 1: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
export function pgoutputDecoder(publications: readonly NeededPublication[]): Decoder {
  const names = publications.map(({ name }) => name);
  const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames: names, messages: true });
  return {
    plugin: "pgoutput",
    publications,
    encodings: null,
    startOptions: [`proto_version '1'`, `publication_names '${names.join(",")}'`, `messages 'true'`],
    decode(payload, sink) {
      const message: Pgoutput.Message = parser.parse(payload);
      switch (message.tag) {
        case "begin":
          sink.begin({
            xid: xid(message.xid),
            commitLsn: position(message.commitLsn),
          });
          break;
        case "insert":
          sink.insert(`${message.relation.schema}.${message.relation.name}`, message.new);
          break;
        case "update":
        case "delete":
          sink.change(`${message.relation.schema}.${message.relation.name}`);
          break;
        case "truncate":
          for (const relation of message.relations) sink.truncate(`${relation.schema}.${relation.name}`);
          break;
        case "message":
          if (message.prefix === MESSAGE_PREFIX)
            sink.message(Buffer.from(message.content).toString(), position(message.messageLsn));
          break;
        case "commit":
          sink.commit(position(message.commitEndLsn));
          break;
        case "relation":
          sink.relation(`${message.schema}.${message.name}`, message.relationOid);
          break;
        case "type":
        case "origin":
          break;
      }
    },
  };
}

function position(text: string | null): Lsn {
  return text === null ? lsn(0n) : parseLsn(text);
}
