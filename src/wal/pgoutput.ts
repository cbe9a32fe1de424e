import { type Pgoutput, PgoutputPlugin } from "pg-logical-replication";

import { parserOf } from "../pg/value-parsers.ts";
import { type Decode, type Decoder, MESSAGE_PREFIX } from "./events.ts";
import { lsn, type Lsn, parseLsn } from "../pg/lsn.ts";
import type { NeededPublication } from "../pg/own-publications.ts";
import { xid } from "../pg/xid.ts";

/** The built-in output plugin, protocol version 1: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
export function pgoutputDecoder(publications: readonly NeededPublication[]): Decoder {
  const names = publications.map(({ name }) => name);
  return {
    plugin: "pgoutput",
    publications,
    encodings: null,
    startOptions: [`proto_version '1'`, `publication_names '${names.join(",")}'`, `messages 'true'`],
    open: () => openSession(names),
  };
}

/** P5: the server describes each relation again in each session, and the parser keeps the descriptions. */
function openSession(publicationNames: string[]): Decode {
  const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames, messages: true });
  return (payload, sink) => {
    const message: Pgoutput.Message = parser.parse(payload);
    switch (message.tag) {
      case "begin":
        sink.begin({
          xid: xid(message.xid),
          commitLsn: position(message.commitLsn),
          committedAt: Number(message.commitTime) / 1_000,
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
        // The parser keeps this very message for the rows to come; its own choice is that of the whole process.
        for (const column of message.columns) column.parser = parserOf(column.typeOid);
        // An oid has no sign, as the parser takes it to have.
        sink.relation(`${message.schema}.${message.name}`, message.relationOid >>> 0);
        break;
      case "type":
      case "origin":
        break;
    }
  };
}

function position(text: string | null): Lsn {
  return text === null ? lsn(0n) : parseLsn(text);
}
