import type { Row, Transaction } from "./database.ts";
import { columnsOf } from "./sweep.ts";

// The messages of pgoutput: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

const OID = { bytea: 17, int8: 20, int4: 23, text: 25, timestamptz: 1184, jsonb: 3802 } as const;

const OUTBOX_COLUMNS = {
  id: OID.int8,
  method: OID.text,
  url: OID.text,
  headers: OID.jsonb,
  body: OID.bytea,
  timeout_milliseconds: OID.int4,
  created: OID.timestamptz,
  attempts: OID.int4,
  next_attempt_at: OID.timestamptz,
  options: OID.jsonb,
  lane: OID.text,
  installation_mark: OID.int4,
} as const;

const RELATIONS = {
  outbox: relation(16_400, "http_request_queue", OUTBOX_COLUMNS),
  settings: relation(16_401, "http_host_settings", { host: OID.text }),
};

const OUTBOX_NAMES = Object.keys(OUTBOX_COLUMNS);
const OUTBOX_ROW = Buffer.concat([Buffer.from("I"), int4(16_400), Buffer.from("N"), int2(OUTBOX_NAMES.length)]);
const NULL_FIELD = Buffer.from("n");
const SETTINGS_ROW = Buffer.concat([Buffer.from("I"), int4(16_401), Buffer.from("N"), int2(1), Buffer.from("n")]);

function int2(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int4(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function int8(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
}

function relation(oid: number, name: string, columns: Readonly<Record<string, number>>): Buffer {
  const listed = Object.entries(columns).flatMap(([column, type]) => [
    Buffer.from([0]),
    Buffer.from(`${column}\0`),
    int4(type),
    int4(0xffffffff),
  ]);
  const head = [Buffer.from("R"), int4(oid), Buffer.from(`net\0${name}\0d`), int2(Object.keys(columns).length)];
  return Buffer.concat([...head, ...listed]);
}

/** The messages of one transaction; relations are described where `describe` says so. */
export function messagesOf(transaction: Transaction, endLsn: bigint, describe: Set<string>): readonly Buffer[] {
  const { xid, rows, streamed, commitLsn, message } = transaction;
  if (message !== null) return [logicalMessage(message.content, commitLsn)];
  const messages: Buffer[] = [
    Buffer.concat([Buffer.from("B"), int8(commitLsn), int8(0n), int4(Number(xid & 0xffffffffn))]),
  ];
  const described = (name: keyof typeof RELATIONS): void => {
    if (!describe.delete(name)) return;
    messages.push(RELATIONS[name]);
  };
  for (const row of rows) {
    described("outbox");
    messages.push((row.bytes ??= insertOf(row)));
  }
  for (const change of streamed) {
    switch (change.kind) {
      case "truncate":
        described("outbox");
        messages.push(Buffer.concat([Buffer.from("T"), int4(1), Buffer.from([0]), int4(16_400)]));
        break;
      case "settings":
        described("settings");
        messages.push(SETTINGS_ROW);
        break;
      case "message":
        messages.push(logicalMessage(change.content, change.lsn));
        break;
    }
  }
  messages.push(Buffer.concat([Buffer.from("C\0"), int8(commitLsn), int8(endLsn), int8(0n)]));
  return messages;
}

/** A message of `pg_logical_emit_message`. */
function logicalMessage(content: string, lsn: bigint): Buffer {
  const text = Buffer.from(content);
  return Buffer.concat([Buffer.from("M\x01"), int8(lsn), Buffer.from("pgnetd\0"), int4(text.length), text]);
}

function insertOf(row: Row): Buffer {
  const values: Readonly<Record<string, unknown>> = {
    ...columnsOf(row),
    attempts: 0,
    // As it was inserted, whatever has become of it since.
    next_attempt_at: row.shape.delayMs === null ? null : "later",
    lane: row.shape.lane,
  };
  return Buffer.concat([OUTBOX_ROW, ...OUTBOX_NAMES.map((name) => fieldOf(values[name]))]);
}

function fieldOf(value: unknown): Buffer {
  if (value === null) return NULL_FIELD;
  const text = Buffer.isBuffer(value) ? `\\x${value.toString("hex")}` : textOf(value);
  const field = Buffer.from(`t\0\0\0\0${text}`);
  field.writeUInt32BE(field.length - 5, 1);
  return field;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Length, two positions and a time are filled in. */
const XLOG_DATA = Buffer.concat([Buffer.from("d"), int4(0), Buffer.from("w"), int8(0n), int8(0n), int8(0n)]);

/** CopyData with XLogData. */
export function walData(at: bigint, payload: Buffer): Buffer {
  const bytes = Buffer.concat([XLOG_DATA, payload]);
  bytes.writeUInt32BE(bytes.length - 1, 1);
  bytes.writeBigUInt64BE(at, 6);
  bytes.writeBigUInt64BE(at, 14);
  return bytes;
}

/** CopyData with a keepalive. */
export function keepalive(at: bigint, wantsReply: boolean): Buffer {
  return copyData(Buffer.concat([Buffer.from("k"), int8(at), int8(0n), Buffer.from([wantsReply ? 1 : 0])]));
}

function copyData(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from("d"), int4(payload.length + 4), payload]);
}
