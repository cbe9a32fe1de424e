import { expect, test } from "vitest";
import type { Begin, WalSink } from "../../src/wal/events.ts";
import { wal2jsonDecoder } from "../../src/wal/wal2json.ts";

interface Seen {
  readonly begun: Begin[];
  readonly rows: Readonly<Record<string, unknown>>[];
  readonly messages: string[];
}

function decode(...lines: readonly string[]): Seen {
  const seen: Seen = { begun: [], rows: [], messages: [] };
  const sink: WalSink = {
    begin: (transaction) => seen.begun.push(transaction),
    relation: () => undefined,
    insert: (_table, row) => seen.rows.push(row),
    change: () => undefined,
    truncate: () => undefined,
    message: (content) => seen.messages.push(content),
    commit: () => undefined,
  };
  const read = wal2jsonDecoder(["net.http_request_queue"]).open();
  for (const line of lines) read(Buffer.from(line), sink);
  return seen;
}

/** An insert of one column besides the id. */
function insert(typeoid: number, value: string): string {
  const columns = `[{"name":"id","typeoid":20,"value":-1},{"name":"c","typeoid":${typeoid},"value":${value}}]`;
  return `{"action":"I","xid":1,"timestamp":null,"lsn":"0/1","schema":"net","table":"http_request_queue","columns":${columns}}`;
}

test.each([
  ["int8", 20, "9223372036854775807", "9223372036854775807"],
  ["int8", 20, "null", null],
  ["numeric", 1700, "-0.10", "-0.10"],
  ["numeric", 1700, "12345678901234567890.5", "12345678901234567890.5"],
  ["int4", 23, "-2147483648", -2_147_483_648],
  ["float8", 701, "1.5e+300", 1.5e300],
  ["bool", 16, "true", true],
  ["text", 25, String.raw`"ü\t\u0001\\\"\/"`, 'ü\t\u0001\\"/'],
  ["text", 25, '"12"', "12"],
  ["a type of somebody's own", 16_394, '"GET"', "GET"],
  ["bytea", 17, '"00ff5c78"', Buffer.from("00ff5c78", "hex")],
  ["bytea", 17, '""', Buffer.alloc(0)],
  ["jsonb", 3802, String.raw`"{\"a\": [1.10, null]}"`, '{"a": [1.10, null]}'],
  ["jsonb", 3802, '"null"', "null"],
  ["timestamptz", 1184, '"2036-05-04 03:02:01.5+05:30"', "2036-05-04 03:02:01.5+05:30"],
  ["timestamptz", 1184, '"-infinity"', "-infinity"],
])("a column of %s (%i), %s, is read as pg reads it from a statement", (_type, typeoid, json, value) => {
  expect(decode(insert(typeoid, json)).rows).toEqual([{ id: "-1", c: value }]);
});

test("a string that looks like a number to be kept exact is left alone", () => {
  const text = '"typeoid":20,"value":9007199254740993';
  expect(decode(insert(25, JSON.stringify(text))).rows).toEqual([{ id: "-1", c: text }]);
});

test("an id above 2^31 is read as it is", () => {
  const begin = '{"action":"B","xid":4294967294,"lsn":"0/1557E48","nextlsn":"0/1557FC0"}';
  expect(decode(begin).begun).toEqual([{ xid: 4_294_967_294, commitLsn: 0x1557e48n }]);
});

test("messages of others are passed over", () => {
  const message = (prefix: string): string =>
    `{"action":"M","xid":null,"timestamp":null,"lsn":"0/1","transactional":false,"prefix":"${prefix}","content":"${prefix}"}`;
  expect(decode(message("other"), message("pgnetd")).messages).toEqual(["pgnetd"]);
});

test("a body of 10 MB is read whole", () => {
  const body = Buffer.alloc(10 * 1024 ** 2, "é");
  const [row] = decode(insert(17, JSON.stringify(body.toString("hex")))).rows;
  expect(body.equals(row?.["c"] as Buffer)).toBe(true);
});

test.each([
  ["no JSON", "BEGIN 732", /JSON/],
  ["an unknown action", '{"action":"X"}', /action/],
  ["a begin without positions, as without include-lsn", '{"action":"B","xid":1}', /lsn/],
  ["columns without type oids", insert(20, "1").replaceAll('"typeoid":20,', ""), /typeoid/],
])("throws for %s", (_what, line, why) => {
  expect(() => decode(line)).toThrow(why);
});

test.each([
  ["is no JSON", "Bearer s3cret"],
  ["has another form", `{"action":"I","columns":"Bearer s3cret"}`],
])("P11: a message that %s is refused without a word of it", (_, line) => {
  expect(() => decode(line)).toThrow(/^(?![^]*s3cret)/);
});
